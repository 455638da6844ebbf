// Runs with tools in tests, streamed and polled, over several stores.
import { Agent } from "@effect-baton/core"
import type { TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, type Layer, Schedule, Stream } from "effect"
import { passing } from "./time.ts"
import { analyst, Handled, turns } from "./tools.ts"

const { call, completed, text } = ScriptedModel

/** A store, and how responses are read. */
export interface Case {
  readonly name: string
  readonly way: string
  readonly layer: Layer.Layer<TokenStore.TokenStore>
  readonly model: ScriptedModel.Options
}

const ways = [
  ["streamed", {}],
  ["polled", { replayFor: 0, demands: () => ({ streamed: false }) }]
] as const satisfies ReadonlyArray<readonly [string, ScriptedModel.Options]>

/** Each store, streamed and polled. */
export const casesOf = (stores: ReadonlyArray<Pick<Case, "layer" | "name">>): ReadonlyArray<Case> =>
  stores.flatMap(({ layer, name }) => ways.map(([way, model]) => ({ name, way, layer, model })))

export const input = { input: "Hello", runId: "r" } as const

/** A script of one call and an answer. */
export const oneCall = (tool: "order" | "sales" = "sales") =>
  turns([call(tool, { month: "1" }), completed], [text("Sold 3."), completed])

export const streamed = () => passing(Stream.runCollect(Agent.stream(analyst, input)))
export const resumed = () => passing(Stream.runCollect(Agent.resume(analyst, { runId: "r" })))
export const errorOf = <A, E, R>(effect: Effect.Effect<A, E, R>) => passing(Effect.flip(effect))

/** Waits until so many handlers have started. */
export const untilStarted = (count: number) =>
  passing(
    Effect.repeat(
      Effect.map(Handled, ({ started }) => started.length >= count),
      { schedule: Schedule.spaced("50 millis"), until: (is) => is }
    )
  )
