import { Run, type RunRecord, type TokenStore } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Keys from "./keys.ts"
import * as Listing from "./listing.ts"
import type { Namespace } from "./namespace.ts"
import * as RedisFailure from "./redisFailure.ts"
import * as ShareReads from "./shareReads.ts"

type Store = TokenStore.TokenStore["Service"]

const statuses = Run.RunStatus.literals

/** The operations that only read the runs of a namespace. */
export const make = ({ command, kept, limit, recordOf, scripts, shards }: Namespace) => {
  const readRun = (id: Run.RunId) =>
    scripts.read(command(id, ...kept), limit, ([answer, shown]) =>
      answer === "none" ? Effect.succeedNone : Effect.asSome(recordOf("read", id, shown))
    )

  const readResponse = Effect.fnUntraced(function* (responseId: string) {
    const ids = yield* Effect.forEach(
      shards,
      (shard) =>
        scripts.find([...Keys.called(shard, [Keys.indexKey(shard, "responses")]), responseId], limit, ([, found]) =>
          Effect.succeed(Array.isArray(found) ? found.filter(Predicate.isString) : [])
        ),
      { concurrency: "unbounded" }
    )
    // Several runs have the response only if it was adopted twice. The first of them counts.
    let first: { readonly at: number; readonly record: RunRecord.RunRecord } | undefined
    for (const id of ids.flat()) {
      const record = Option.getOrUndefined(yield* readRun(Run.RunId.make(id)))
      const accepted = record?.journal.find((fact) => fact._tag === "Accepted" && fact.responseId === responseId)
      if (record !== undefined && accepted !== undefined && (first === undefined || accepted.at < first.at)) {
        first = { at: accepted.at, record }
      }
    }
    return Option.map(Option.fromUndefinedOr(first), ({ record }) => record)
  })

  const namesIn = (shard: Keys.Shard) =>
    scripts.agents([...Keys.called(shard, [Keys.indexKey(shard, "agents")]), shard], limit, ([, names]) =>
      Effect.succeed(Array.isArray(names) ? names.filter(Predicate.isString) : [])
    )
  /** The indexes that contain the runs of a filter. */
  const sourcesOf = ({ agent, parked, status }: TokenStore.RunFilter) => {
    const isAll = agent === undefined && status === undefined && parked !== true
    return Effect.map(
      Effect.forEach(
        shards,
        (shard) =>
          isAll
            ? Effect.succeed([{ shard, index: Keys.indexKey(shard, "runs"), is: "" }])
            : Effect.map(agent === undefined ? namesIn(shard) : Effect.succeed([agent]), (names) =>
                names.flatMap((name) =>
                  parked === true
                    ? [{ shard, index: Keys.parkedKey(shard, name), is: "" }]
                    : (status ?? statuses).map((at) => ({
                        shard,
                        index: Keys.statusKey(shard, at, name),
                        is: `=${at}:${name}`
                      }))
                )
              ),
        { concurrency: "unbounded" }
      ),
      (all) => all.flat()
    )
  }

  const list: Store["list"] = (filter) =>
    Effect.flatMap(sourcesOf(filter), (sources) =>
      Listing.page(
        sources,
        ({ index, is, shard }, from, wanted) =>
          scripts.list(
            [
              ...Keys.called(shard, [index]),
              shard,
              "",
              from?.at ?? "",
              from?.id ?? "",
              String(wanted),
              filter.parked === undefined ? "" : filter.parked ? "1" : "0",
              is
            ],
            limit,
            Effect.succeed
          ),
        filter,
        ({ shard }, id) =>
          Effect.logWarning(
            "baton: a run cannot be read and is not listed",
            RedisFailure.corrupt("list", Keys.runKey(shard, id)).message
          )
      )
    )

  const count: Store["count"] = ({ agent }) =>
    Effect.map(
      Effect.forEach(
        shards,
        (shard) =>
          scripts.count(
            [
              ...Keys.called(shard, [Keys.indexKey(shard, "agents")]),
              shard,
              agent === undefined ? "" : `=${agent}`,
              ...statuses
            ],
            limit,
            ([, counts]) => Effect.succeed(Array.isArray(counts) ? counts.map(Number) : [])
          ),
        { concurrency: "unbounded" }
      ),
      (all) => {
        const sum = (i: number) => all.reduce((total, counts) => total + (counts[i] ?? 0), 0)
        const names = [...statuses, "parked"] as const
        return Object.fromEntries(names.map((name, i) => [name, sum(i)])) as TokenStore.Counts
      }
    )

  const shared = ShareReads.make<Effect.Success<ReturnType<typeof readRun>>, Effect.Error<ReturnType<typeof readRun>>>()
  const read: Store["read"] = (id) => (Predicate.isString(id) ? shared(id, readRun(id)) : readResponse(id.responseId))

  return { read, readRun, list, count }
}
