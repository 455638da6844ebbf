import { assert, describe, it } from "@effect/vitest"
import { NodeServices } from "@effect/platform-node"
import { Run, TokenStore } from "@effect-baton/core"
import { Duration, Effect, Exit, FileSystem, Layer, Predicate, Result, Schema, Scope } from "effect"
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
  Acquire: { id: Id, owner: Owner },
  // `lease` chooses among those that were ever acquired.
  Renew: { lease: small(9) },
  Release: { lease: small(9) },
  Commit: {
    lease: small(9),
    ordinal: small(12),
    status: Run.RunStatus,
    over: Schema.Boolean,
    journal: Schema.Literals(["none", "requested", "ended"])
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
    limit: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 }))
  }
})
type Look = typeof Look.Type

// Operations at the same time, then time, then looks: while operations are under way, a look may see either state.
const Step = Schema.Struct({
  together: Schema.Array(Operation).check(Schema.isMaxLength(6)),
  pause: Schema.Literals([0, 1, 1000, 20_000, 31_000]),
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
      return store.acquire(idOf(operation.id), { owner: operation.owner, ttl })
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
        ...(look.status.length === 0 ? {} : { status: look.status })
      })

// What can be compared: errors by their content, and AiErrors as they are encoded.
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, value: unknown) =>
      value instanceof AiError.AiError ? Schema.encodeUnknownSync(AiError.AiError)(value) : value
    )
  )
const answers = (results: ReadonlyArray<Result.Result<unknown, unknown>>): unknown =>
  plain(
    results.map(Result.match({ onFailure: (error) => ({ error }), onSuccess: (value) => ({ value: value ?? null }) }))
  )

const stateOf = (store: Service) =>
  Effect.map(store.list({ limit: 100 }), ({ items }) => plain(items.map((record) => ({ ...record, lease: null }))))

describe("token stores", () => {
  it.effect.prop(
    "memory and file answer alike, whatever is asked of them, and the file remembers",
    [Schema.Array(Step).check(Schema.isMaxLength(12))],
    ([steps]) =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
        const open = Effect.fnUntraced(function* (layer: Layer.Layer<TokenStore.TokenStore, unknown, never>) {
          const scope = yield* Scope.make()
          const context = yield* Layer.buildWithScope(layer, scope)
          return { store: yield* Effect.provide(TokenStore.TokenStore, context), close: Scope.close(scope, Exit.void) }
        })
        const layerFile = Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer)
        const memory = yield* open(TokenStore.layerMemory)
        const file = yield* open(layerFile)
        const sides = [
          { store: memory.store, leases: [] as Array<TokenStore.Lease> },
          { store: file.store, leases: [] as Array<TokenStore.Lease> }
        ] as const
        for (const { looks, pause, together } of steps) {
          const [a, b] = yield* Effect.forEach(sides, (side) =>
            Effect.forEach(together, (operation) => Effect.result(operate(side.store, side.leases, operation)), {
              concurrency: "unbounded"
            }).pipe(
              // Known to whoever comes after, in the same order whichever was answered first.
              Effect.tap((results) => Effect.sync(() => side.leases.push(...results.flatMap(leaseOf))))
            )
          )
          assert.deepStrictEqual(answers(b ?? []), answers(a ?? []))
          yield* TestClock.adjust(pause)
          const [c, d] = yield* Effect.forEach(sides, ({ store }) =>
            Effect.forEach(looks, (each) => Effect.result(look(store, each)))
          )
          assert.deepStrictEqual(answers(d ?? []), answers(c ?? []))
        }
        yield* file.close
        const again = yield* open(layerFile)
        assert.deepStrictEqual(yield* stateOf(again.store), yield* stateOf(memory.store))
        yield* again.close
        yield* memory.close
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    { timeout: 120_000, arbitrary: { runs: 150, maxShrinks: 300 } }
  )
})
