import { Agent, type AgentError, type AgentUpdate } from "@effect-baton/core"
import { Effect, Option, Stream } from "effect"
import type { Services } from "./runs.ts"
import { passing } from "./time.ts"

/**
 * Reads a run in pieces of the given lengths, and then to its end; by its id, or by the token of the last update. That
 * the run failed is told by its updates.
 */
export const inPieces = Effect.fnUntraced(function* <A extends Agent.Any>(
  agent: A,
  runId: string,
  cuts: ReadonlyArray<number>,
  by: "id" | "token"
) {
  const read: Array<AgentUpdate.AgentUpdate> = []
  for (const cut of [...cuts, Number.POSITIVE_INFINITY]) {
    const token = Option.flatMap(Option.fromUndefinedOr(read.at(-1)), (update) => update.continuationToken)
    const stream: Stream.Stream<AgentUpdate.AgentUpdate, AgentError.AgentError, Services | Agent.HandlersOf<A>> =
      by === "token" && Option.isSome(token)
        ? Agent.resume(agent, { continuationToken: token.value })
        : Agent.stream(agent, { input: "Hello", runId })
    const some = Stream.runForEach(cut < Number.POSITIVE_INFINITY ? Stream.take(stream, cut) : stream, (update) =>
      Effect.sync(() => void read.push(update))
    )
    yield* passing(Effect.catchReason(some, "AgentError", "RunFailed", () => Effect.void))
    if (read.length > 0 && Option.isNone(read.at(-1)!.continuationToken)) break
  }
  return read
})

/** What each part of the output came to, its deltas joined, by turn and id. */
export const joined = (updates: ReadonlyArray<AgentUpdate.AgentUpdate>): Readonly<Record<string, string>> => {
  const parts = new Map<string, string>()
  let turn = 0
  for (const { part } of updates) {
    if (part === undefined) continue
    const id = `${turn} ${"id" in part ? String(part.id) : part.type}`
    parts.set(id, (parts.get(id) ?? "") + (part.type === "text-delta" ? part.delta : `<${part.type}>`))
    if (part.type === "finish") turn++
  }
  return Object.fromEntries([...parts].toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
