import { type TokenStore, TokenStoreError } from "@effect-baton/core"
import { Effect, type Layer, Logger, References, Stream } from "effect"
import type { Model } from "./models.ts"
import { changing, passed } from "./stores.ts"

type Store = TokenStore.TokenStore["Service"]

/** What a store does with operations: what it should, nothing, or what it should without saying so. */
type Condition = "works" | "is away" | "loses answers"

/** The store is away for some of its operations, or loses their answers, while `state` says so. */
export const outage = (layer: Layer.Layer<TokenStore.TokenStore>, operations?: ReadonlyArray<keyof Store>) => {
  const state: { store: Condition; kind: TokenStoreError.TokenStoreError["kind"]; failures: number } = {
    store: "works",
    kind: "unavailable",
    failures: 0
  }
  const through = <A, E>(
    operation: keyof Store,
    effect: Effect.Effect<A, E>
  ): Effect.Effect<A, E | TokenStoreError.TokenStoreError> =>
    Effect.suspend((): Effect.Effect<A, E | TokenStoreError.TokenStoreError> => {
      if (state.store === "works" || operations?.includes(operation) === false) return effect
      state.failures++
      const error = new TokenStoreError.TokenStoreError({ operation, kind: state.kind, description: "away" })
      return state.store === "is away" ? Effect.fail(error) : Effect.andThen(effect, Effect.fail(error))
    })
  const faulty = changing(layer, (inner) => ({
    ...passed(inner, through),
    wakeups: Stream.filter(inner.wakeups, () => state.store === "works")
  }))
  /** From now on, for so long by the clock of the test. */
  const lasting = (millis: number, store: Exclude<Condition, "works"> = "is away") =>
    Effect.suspend(() => {
      state.store = store
      const back = Effect.andThen(
        Effect.sleep(millis),
        Effect.sync(() => {
          state.store = "works"
        })
      )
      return Effect.forkDetach(back, { startImmediately: true })
    })
  return { state, layer: faulty, lasting }
}

/** The answers to requests that open a response come this late. */
export const slowAnswers =
  (millis: number) =>
  (inner: Model): Partial<Model> => ({
    create: (request) =>
      Stream.unwrap(
        Effect.delay(
          Effect.sync(() => inner.create(request)),
          millis
        )
      ),
    submit: (request) => Effect.delay(inner.submit(request), millis)
  })

/** Keeps what is logged, with the run and the response that it is about. */
export const logging = () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    const { responseId = "-", runId = "-" } = fiber.getRef(References.CurrentLogAnnotations)
    lines.push(`${logLevel} ${String(runId)} ${String(responseId)} ${String(message)}`)
  })
  return { lines, layer: Logger.layer([logger]) }
}
