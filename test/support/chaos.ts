import { BackgroundModel, TokenStore, TokenStoreError } from "@effect-baton/core"
import { Cause, Effect, Layer, Stream } from "effect"
import { AiError } from "effect/ai"
import { passed } from "./stores.ts"

/** Numbers from 0 to 1 that follow from a seed. */
export const random = (seed: number) => {
  let state = seed >>> 0
  return (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** A process: when it is dead, nothing that it does has an effect any more. */
export interface Process {
  readonly name: string
  dead: boolean
}

/** What goes wrong, while it does. */
export interface Chaos {
  readonly next: () => number
  on: boolean
  /** How long something stands still at most, in milliseconds. */
  readonly longest: number
}

const answered = (process: Process) => Effect.suspend(() => (process.dead ? Effect.never : Effect.void))

/** An operation of a process that may stand still before it is done, or after, and whose answer may be lost. */
const disturbed = <A, E, F>(
  chaos: Chaos,
  process: Process,
  operation: Effect.Effect<A, E>,
  fails: { readonly before: () => F; readonly after: () => F },
  /** How often it stands still: what may be bought twice is worth it. */
  stands = 0.16
): Effect.Effect<A, E | F> =>
  Effect.suspend((): Effect.Effect<A, E | F> => {
    if (process.dead) return Effect.never
    if (!chaos.on) return operation
    const roll = chaos.next()
    const standing = Effect.andThen(Effect.sleep(Math.ceil(chaos.next() * chaos.longest)), answered(process))
    if (roll < 0.05) return Effect.fail(fails.before())
    if (roll < 0.13) return Effect.andThen(operation, Effect.fail(fails.after()))
    if (roll < 0.13 + stands / 2) return Effect.andThen(standing, operation)
    if (roll < 0.13 + stands) return Effect.tap(operation, () => standing)
    return operation
  }).pipe(Effect.tap(() => answered(process)))

const away = (operation: string) => () =>
  new TokenStoreError.TokenStoreError({ operation, kind: "unavailable", description: "chaos" })

/** A store as one process sees it. */
const storeOf = (inner: TokenStore.TokenStore["Service"], chaos: Chaos, process: Process) => {
  const store = passed(inner, (operation, effect) =>
    disturbed(chaos, process, effect, { before: away(operation), after: away(operation) })
  )
  // Hints may be lost.
  const isHeard = () => !process.dead && !(chaos.on && chaos.next() < 0.3)
  return TokenStore.TokenStore.of({ ...store, wakeups: Stream.filter(inner.wakeups, isHeard) })
}

const refusal = () =>
  AiError.make({
    module: "chaos",
    method: "request",
    reason: new AiError.InternalProviderError({ description: "chaos" })
  })

/** A model as one process sees it. */
const modelOf = (inner: BackgroundModel.BackgroundModel["Service"], chaos: Chaos, process: Process) => {
  const through = <A, E>(effect: Effect.Effect<A, E>) =>
    disturbed(chaos, process, effect, { before: refusal, after: refusal })
  const unconfirmed = (): AiError.AiError | BackgroundModel.CreateUnconfirmed =>
    new BackgroundModel.CreateUnconfirmed({ error: refusal() })
  return BackgroundModel.BackgroundModel.of({
    ...inner,
    create: (request) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const pull = yield* Stream.toPull(inner.create(request))
          // A request that was refused bought nothing; one whose answer was lost may have.
          const first = yield* disturbed(chaos, process, pull, {
            before: (): ReturnType<typeof unconfirmed> => refusal(),
            after: unconfirmed
          })
          return Stream.concat(Stream.fromArray(first), Stream.fromPull(Effect.succeed(pull)))
        }).pipe(Effect.catchIf(Cause.isDone, () => Effect.succeed(Stream.empty)))
      ),
    retrieve: (id) => through(inner.retrieve(id)),
    cancel: (id) => through(inner.cancel(id)),
    remove: (id) => through(inner.remove(id))
  })
}

export const layers = (
  store: TokenStore.TokenStore["Service"],
  model: BackgroundModel.BackgroundModel["Service"],
  chaos: Chaos,
  process: Process
) =>
  Layer.merge(
    Layer.succeed(TokenStore.TokenStore, storeOf(store, chaos, process)),
    Layer.succeed(BackgroundModel.BackgroundModel, modelOf(model, chaos, process))
  )
