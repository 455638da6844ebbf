import { assert } from "@effect/vitest"
import { TokenStore } from "@effect-baton/core"
import { Duration, Effect, Exit, Layer, Result, Schema, Scope } from "effect"
import { AiError } from "effect/ai"
import { TestClock } from "effect/testing"
import { TokenStoreContract } from "@effect-baton/testing"
import {
  claim,
  everything,
  Id,
  idOf,
  type Known,
  learn,
  look,
  operate,
  type Service,
  type Steps,
  ttl
} from "./steps.ts"

const { newRun } = TokenStoreContract

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

const times = new Set(["at", "createdAt", "due", "expiresAt", "until", "updatedAt"])
const counted = new Set(["attempts", "fence", "incarnation"])

// What can be compared: errors by their content, AiErrors as they are encoded, no times, and fences and incarnations by
// when they came.
const comparing = () => {
  const fences = new Map<unknown, number>()
  const nth = (fence: unknown): unknown => {
    if (Array.isArray(fence)) return fence.map(nth)
    if (!fences.has(fence)) fences.set(fence, fences.size)
    return fences.get(fence) ?? -1
  }
  return (answer: unknown): unknown =>
    JSON.parse(
      JSON.stringify(answer, (key, value: unknown) =>
        value instanceof AiError.AiError
          ? Schema.encodeUnknownSync(AiError.AiError)(value)
          : times.has(key) && value !== null
            ? "a time"
            : counted.has(key)
              ? nth(value)
              : value
      )
    )
}
const answers = (results: ReadonlyArray<Result.Result<unknown, unknown>>): unknown =>
  results.map(Result.match({ onFailure: (failed) => ({ failed }), onSuccess: (value) => ({ value: value ?? null }) }))

const stateOf = (store: Service) =>
  Effect.map(store.list({ limit: 100 }), ({ items }) => items.map((record) => ({ ...record, lease: null })))

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
    yield* store.create(newRun("first"))
    const { lease } = yield* store.acquire(idOf("first"), { owner: "a", ttl })
    yield* store.remove(lease)
    const known: Known = { leases: [], incarnations: new Map() }
    return {
      store,
      close: Scope.close(scope, Exit.void),
      known,
      plain: comparing(),
      side
    }
  })
  const opened = yield* Effect.forEach(sides, open)
  // So that most of what is asked is of a run that is there.
  for (const { known, store } of opened) {
    for (const id of Id.literals) {
      yield* store.create(newRun(id))
      learn(known, [yield* Effect.result(store.acquire(idOf(id), { owner: "a", ttl }))])
    }
  }
  const compare = (all: ReadonlyArray<unknown>) => {
    for (const [i, each] of all.entries()) {
      assert.deepStrictEqual(
        each,
        all[0],
        `store ${i} answers ${JSON.stringify(each)}, store 0 ${JSON.stringify(all[0])}`
      )
    }
  }

  for (const { claims, looks, pause, together } of steps) {
    compare(
      yield* Effect.forEach(opened, ({ known, plain, store }) =>
        Effect.forEach(together, (operation) => Effect.result(operate(store, known, operation)), {
          concurrency: "unbounded"
        }).pipe(
          Effect.map((results) => {
            // Known to whoever comes after, in the same order whichever was answered first.
            learn(known, results)
            return plain(answers(results))
          })
        )
      )
    )
    yield* Effect.forEach(sides, ({ settle }) => settle ?? Effect.void)
    yield* TestClock.adjust(pause)
    yield* Effect.forEach(sides, ({ advance }) => advance?.(Duration.millis(pause)) ?? Effect.void)
    for (const asked of claims) {
      compare(
        yield* Effect.forEach(opened, ({ known, plain, store }) =>
          Effect.map(claim(store, asked), (taken) => {
            learn(known, taken.map(Result.succeed))
            return plain(taken)
          })
        )
      )
    }
    compare(
      yield* Effect.forEach(opened, ({ plain, store }) =>
        Effect.map(
          Effect.forEach([everything, ...looks], (each) => Effect.result(look(store, each))),
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
