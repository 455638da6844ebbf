import { assert } from "@effect/vitest"
import { Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Exit, Layer, Predicate, Result, Schema, Scope } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { TokenStoreContract } from "@effect-baton/testing"

type Service = TokenStore.TokenStore["Service"]

const { commitOf, newRun } = TokenStoreContract
const idOf = Run.RunId.make
const ttl = Duration.seconds(30)

const Id = Schema.Literals(["r-1", "é👍", ".."])
const Owner = Schema.Literals(["a", "b"])
const small = (max: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: max }))

const Operation = Schema.TaggedUnion({
  Create: { id: Id, digest: Schema.Literals(["d-1", "d-2"]) },
  Acquire: { id: Id, owner: Owner, takeOver: Schema.Boolean },
  // `lease` chooses among those that were ever acquired.
  Renew: { lease: small(9) },
  Release: { lease: small(9) },
  Commit: {
    lease: small(9),
    ordinal: small(12),
    status: Run.RunStatus,
    over: Schema.Boolean,
    journal: Schema.Literals(["none", "requested", "ended"]),
    setAside: Schema.Literals(["as it is", "no", "yes"]),
    attempts: Schema.Literals([-1, 0, 3])
  },
  Signal: { id: Id },
  Remove: { id: Id }
})
type Operation = typeof Operation.Type

const Look = Schema.TaggedUnion({
  Read: { id: Id },
  List: {
    status: Schema.Array(Run.RunStatus).check(Schema.isMaxLength(3)),
    unleased: Schema.Boolean,
    stage: Schema.Literals(["any", "unfinished", "set aside", "finished"]),
    limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))
  }
})
type Look = typeof Look.Type

// Operations at the same time, then time, then looks: while operations are under way, a look may see either state.
const Step = Schema.Struct({
  together: Schema.Array(Operation).check(Schema.isMaxLength(6)),
  pause: Schema.Literals([0, 1, 700, 20_000, 31_000]),
  looks: Schema.Array(Look).check(Schema.isMaxLength(3))
})

const error = AiError.make({ module: "OpenAi", method: "create", reason: new AiError.QuotaExhaustedError({}) })

const operate = (
  store: Service,
  leases: ReadonlyArray<TokenStore.Lease>,
  operation: Operation
): Effect.Effect<unknown, unknown> => {
  const leaseAt = (i: number) => leases[i % Math.max(1, leases.length)] ?? { runId: idOf("r-1"), owner: "a", fence: 0 }
  switch (operation._tag) {
    case "Create":
      return store.create(newRun(operation.id, { digest: operation.digest }))
    case "Acquire":
      return store.acquire(idOf(operation.id), { owner: operation.owner, ttl, takeOver: operation.takeOver })
    case "Renew":
      return store.renew(leaseAt(operation.lease), ttl)
    case "Release":
      return store.release(leaseAt(operation.lease))
    case "Commit": {
      const lease = leaseAt(operation.lease)
      return store.commit(
        lease,
        commitOf(lease.runId, operation.ordinal, {
          status: operation.status,
          ...(operation.over ? { token: null } : {}),
          ...(operation.setAside === "as it is" ? {} : { setAside: operation.setAside === "no" ? null : "broken" }),
          ...(operation.attempts < 0 ? {} : { attempts: operation.attempts }),
          ...(operation.journal === "none"
            ? {}
            : {
                journal: [
                  operation.journal === "requested"
                    ? { _tag: "Requested", turn: operation.ordinal }
                    : { _tag: "Ended", status: operation.status, error }
                ]
              })
        })
      )
    }
    case "Signal":
      return store.signal(idOf(operation.id), { _tag: "Cancel" })
    case "Remove":
      return store.remove(idOf(operation.id))
  }
}

const leaseOf = (result: Result.Result<unknown, unknown>): ReadonlyArray<TokenStore.Lease> =>
  Result.isSuccess(result) && Predicate.hasProperty(result.success, "lease")
    ? [result.success.lease as TokenStore.Lease]
    : []

const look = (store: Service, look: Look): Effect.Effect<unknown, unknown> =>
  look._tag === "Read"
    ? store.read(idOf(look.id))
    : store.list({
        limit: look.limit,
        unleased: look.unleased,
        ...(look.stage === "any" ? {} : { stage: look.stage }),
        ...(look.status.length === 0 ? {} : { status: look.status })
      })

/** A store of the comparison. */
export interface Side {
  readonly layer: Layer.Layer<TokenStore.TokenStore, unknown>
  /** Whether another layer finds what this one kept. */
  readonly remembers?: boolean
  /** Is run after operations: a store by another clock takes the times of the test clock. */
  readonly settle?: Effect.Effect<void>
  /** Lets time pass for a store by another clock. */
  readonly advance?: (duration: Duration.Duration) => Effect.Effect<void>
}

const times = new Set(["at", "createdAt", "expiresAt", "until", "updatedAt"])

// What can be compared: errors by their content, AiErrors as they are encoded, no times, and fences by when they came.
const comparing = () => {
  const fences = new Map<unknown, number>()
  const nth = (fence: unknown): number => {
    if (!fences.has(fence)) fences.set(fence, fences.size)
    return fences.get(fence) ?? -1
  }
  return (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (key, value: unknown) =>
        value instanceof AiError.AiError
          ? Schema.encodeUnknownSync(AiError.AiError)(value)
          : times.has(key)
            ? "a time"
            : key === "fence"
              ? nth(value)
              : value
      )
    )
}
const answers = (results: ReadonlyArray<Result.Result<unknown, unknown>>): unknown =>
  results.map(Result.match({ onFailure: (error) => ({ error }), onSuccess: (value) => ({ value: value ?? null }) }))

const stateOf = (store: Service) =>
  Effect.map(store.list({ limit: 100 }), ({ items }) => items.map((record) => ({ ...record, lease: null })))

/** What the stores are asked: for a property test. */
export const Steps = Schema.Array(Step).check(Schema.isMaxLength(12))

/** Asks all stores the same, and fails where they differ. */
export const answerAlike = Effect.fnUntraced(function* (
  steps: typeof Steps.Type,
  sides: ReadonlyArray<Side>
): Effect.fn.Return<void, unknown, Scope.Scope> {
  const open = Effect.fnUntraced(function* (side: Side) {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const context = yield* Layer.buildWithScope(Layer.fresh(side.layer), scope)
    const store = yield* Effect.provide(TokenStore.TokenStore, context)
    // What a store does only once would change the order of what is asked of it at the same time.
    yield* Effect.andThen(store.create(newRun("first")), store.remove(idOf("first")))
    return {
      store,
      close: Scope.close(scope, Exit.void),
      leases: [] as Array<TokenStore.Lease>,
      plain: comparing(),
      side
    }
  })
  const opened = yield* Effect.forEach(sides, open)
  const compare = (all: ReadonlyArray<unknown>) => {
    for (const [i, each] of all.entries()) {
      assert.deepStrictEqual(
        each,
        all[0],
        `store ${i} answers ${JSON.stringify(each)}, store 0 ${JSON.stringify(all[0])}`
      )
    }
  }

  for (const { looks, pause, together } of steps) {
    compare(
      yield* Effect.forEach(opened, ({ leases, plain, store }) =>
        Effect.forEach(together, (operation) => Effect.result(operate(store, leases, operation)), {
          concurrency: "unbounded"
        }).pipe(
          Effect.map((results) => {
            // Known to whoever comes after, in the same order whichever was answered first.
            leases.push(...results.flatMap(leaseOf))
            return plain(answers(results))
          })
        )
      )
    )
    yield* Effect.forEach(sides, ({ settle }) => settle ?? Effect.void)
    yield* TestClock.adjust(pause)
    yield* Effect.forEach(sides, ({ advance }) => advance?.(Duration.millis(pause)) ?? Effect.void)
    compare(
      yield* Effect.forEach(opened, ({ plain, store }) =>
        Effect.map(
          Effect.forEach(looks, (each) => Effect.result(look(store, each))),
          (results) => plain(answers(results))
        )
      )
    )
  }

  const last = yield* Effect.forEach(opened, ({ plain, side, store, close }) =>
    Effect.gen(function* () {
      const before = plain(yield* stateOf(store))
      yield* close
      if (side.remembers !== true) return [before]
      const again = yield* open(side)
      const after = plain(yield* stateOf(again.store))
      yield* again.close
      return [before, after]
    })
  )
  compare(last.flat())
})
