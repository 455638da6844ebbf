import type { TokenStore } from "@effect-baton/core"
import { Effect, Schema } from "effect"
import { appendFileSync, readFileSync } from "node:fs"

/**
 * One operation on a store, as the worker saw it that asked for it. Times are of the host's monotonic clock, in
 * milliseconds: comparable between processes. Without `end` the worker did not live to see the answer.
 */
export const Operation = Schema.Struct({
  worker: Schema.String,
  number: Schema.Int,
  what: Schema.Literals(["acquire", "renew", "release", "commit"]),
  runId: Schema.String,
  begin: Schema.Number,
  end: Schema.optionalKey(Schema.Number),
  /** Whether the store said that it was done. */
  done: Schema.optionalKey(Schema.Boolean),
  fence: Schema.optionalKey(Schema.Number),
  /** Who asks for a lease: again and again for the same one. */
  owner: Schema.optionalKey(Schema.String),
  /** The facts that a commit adds. */
  facts: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Of a position that a commit writes: its ordinal, its sequence number, and how much of that event is delivered. */
  ordinal: Schema.optionalKey(Schema.Int),
  position: Schema.optionalKey(Schema.Int),
  skip: Schema.optionalKey(Schema.Int),
  /** What a commit came to. */
  outcome: Schema.optionalKey(Schema.Literals(["written", "moved", "held"]))
})
export type Operation = typeof Operation.Type

const Line = Schema.fromJsonString(Operation)
const encodeLine = Schema.encodeSync(Line)
const decodeLine = Schema.decodeSync(Line)

const now = () => Number(process.hrtime.bigint()) / 1e6

type Service = TokenStore.TokenStore["Service"]

/** A store of which every operation on leases is written down before it is sent, and when it is answered. */
export const recorded = (inner: Service, worker: string, file: string): Service => {
  let number = 0
  // At once, so that a killed process leaves it behind.
  const write = (line: Operation) => appendFileSync(file, `${encodeLine(line)}\n`)
  const note = <A, E>(
    of: Pick<Operation, "what" | "runId"> & Partial<Operation>,
    operation: Effect.Effect<A, E>,
    answered: (value: A) => Partial<Operation> = () => ({})
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const begun = { worker, number: ++number, begin: now(), ...of }
      write(begun)
      return operation.pipe(
        Effect.tap((value) => Effect.sync(() => write({ ...begun, end: now(), done: true, ...answered(value) }))),
        Effect.tapError(() => Effect.sync(() => write({ ...begun, end: now(), done: false })))
      )
    })
  return {
    ...inner,
    // One of each run that is taken; a worker that does not live to see the answer has none of them.
    claim: (options) =>
      Effect.suspend(() => {
        const begin = now()
        return Effect.tap(inner.claim(options), ({ taken }) =>
          Effect.sync(() => {
            for (const { lease } of taken) {
              const { fence, owner, runId } = lease
              write({ worker, number: ++number, what: "acquire", runId, begin, end: now(), done: true, fence, owner })
            }
          })
        )
      }),
    acquire: (runId, options) =>
      note(
        { what: "acquire", runId, owner: options.owner },
        inner.acquire(runId, options),
        ({ lease }: TokenStore.Taken) => ({ fence: lease.fence })
      ),
    renew: (lease, ttl, seen) =>
      note({ what: "renew", runId: lease.runId, fence: lease.fence }, inner.renew(lease, ttl, seen)),
    release: (lease, options) =>
      note({ what: "release", runId: lease.runId, fence: lease.fence }, inner.release(lease, options)),
    commit: (lease, commit) =>
      note(
        {
          what: "commit",
          runId: lease.runId,
          fence: lease.fence,
          ...(commit.facts === undefined ? {} : { facts: commit.facts.map(({ _tag }) => _tag) }),
          ...(commit.position === undefined
            ? {}
            : {
                ordinal: commit.position.ordinal,
                position: commit.position.token.sequenceNumber,
                skip: commit.position.token.skip
              })
        },
        inner.commit(lease, commit),
        ({ outcome }) => ({ outcome })
      )
  }
}

/** Reads what workers wrote down: of an operation that was answered, the answer. */
export const readHistory = (files: ReadonlyArray<string>): ReadonlyArray<Operation> => {
  const operations = new Map<string, Operation>()
  for (const file of files) {
    for (const line of readFileSync(file, "utf8").split("\n")) {
      // The last line of a killed process may be cut.
      if (!line.endsWith("}")) continue
      const operation = decodeLine(line)
      operations.set(`${operation.worker}/${operation.number}`, operation)
    }
  }
  return [...operations.values()]
}
