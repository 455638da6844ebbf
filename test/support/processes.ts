import { Agent, type BackgroundModel, type RunPolicy, type RunRecord, Runs, type TokenStore } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { Effect, Layer, Stream } from "effect"
import { analyst, textOf } from "./runs.ts"
import { atProvider, journalOf, makeProcess, type Process, until } from "./schedule.ts"
import { passing } from "./time.ts"

// One run, the processes that share it, and what they do with it.

export type Script = ReadonlyArray<ScriptedModel.Step>
type Services = BackgroundModel.BackgroundModel | TokenStore.TokenStore

const { completed, pause, text } = ScriptedModel

export const runId = "r"
export const ref = { runId }
export const task = { input: "Hello", runId }

/** A response with a text every 100 ms. */
export const paced: Script = [...Array.from({ length: 20 }, () => [text("x"), pause("100 millis")]).flat(), completed]
/** A response that would go on for long after the test. */
export const long: Script = [text("a"), pause("10 hours"), text("b"), completed]

/** The first response plays the first script, and so on; further ones play the last. */
export const inTurn = (...scripts: ReadonlyArray<Script>) => {
  let next = 0
  return () => scripts[Math.min(next++, scripts.length - 1)]!
}

/** Provides a scripted model and a store. */
export const over = (script: Parameters<typeof ScriptedModel.layer>[0], store: Layer.Layer<TokenStore.TokenStore>) =>
  Effect.provide(Layer.merge(ScriptedModel.layer(script), store))

/** Two processes over the store and the provider of the context. */
export const two = (changes: Partial<RunPolicy.RunPolicy> = {}): Effect.Effect<[Process, Process], never, Services> =>
  Effect.all([makeProcess("W0", changes), makeProcess("W1", changes)])

/** Begins a program in a process. If it stands still at the end of a test, it is not waited for. */
export const begin = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) =>
  Effect.forkDetach(process.run(program))
/** Runs a program in a process to its end. */
export const done = <A, E, R>(process: Process, program: Effect.Effect<A, E, R>) => passing(process.run(program))

/** The text of the run, read to its end. */
export const reading = Effect.map(Stream.runCollect(Agent.stream(analyst, task)), textOf)
export const resuming = Effect.map(Stream.runCollect(Agent.resume(analyst, ref)), textOf)

/** A worker that reads every run to its end. */
export const working = Layer.build(
  Runs.worker([analyst], { concurrency: 10, handle: ({ updates }) => Stream.runDrain(updates) })
).pipe(Effect.andThen(Effect.never), Effect.scoped)

/** Whether the journal of the run has such a fact. */
export const has = (tag: RunRecord.Fact["_tag"], responseId?: string) =>
  Effect.map(journalOf(runId), (journal) =>
    journal.some(
      (fact) =>
        fact._tag === tag && (responseId === undefined || ("responseId" in fact && fact.responseId === responseId))
    )
  )
export const comes = (tag: RunRecord.Fact["_tag"], responseId?: string) =>
  until(`${tag} ${responseId ?? ""}`, has(tag, responseId))

/** Lets time pass until the provider has cancelled the response. */
export const isCancelled = (responseId: string) =>
  until(
    `${responseId} is cancelled`,
    Effect.map(atProvider(responseId), (status) => status === "cancelled")
  )
