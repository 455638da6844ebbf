import {
  AgentError,
  BackgroundModel,
  type ContinuationToken,
  RunRecord,
  TokenStore,
  TokenStoreError,
  UpdateLog,
  UpdateLogError
} from "@effect-baton/core"
import { Clock, Duration, Effect, Layer, Option, Semaphore, Stream } from "effect"
import { endless, unfenced } from "../logged/faults.ts"
import * as Jumping from "../support/clock.ts"
import { chance } from "./random.ts"

type Store = TokenStore.TokenStore["Service"]
type Model = BackgroundModel.BackgroundModel["Service"]

const changing = (change: (inner: Store) => Partial<Store>) =>
  Layer.effect(
    TokenStore.TokenStore,
    Effect.map(TokenStore.TokenStore, (inner) => ({ ...inner, ...change(inner) }))
  )

type Log = UpdateLog.UpdateLog["Service"]

const logging = (change: (inner: Log) => Partial<Log>) =>
  Layer.effect(
    UpdateLog.UpdateLog,
    Effect.map(UpdateLog.UpdateLog, (inner) => ({ ...inner, ...change(inner) }))
  )

const away = new TokenStoreError.TokenStoreError({ operation: "commit", kind: "unavailable", description: "away" })

/** Runs of which the store does not say all. */
export interface Unsaid {
  /** The last position did not come through, or may not once its lease is over. */
  readonly unwritten: Set<string>
  /** The run was taken, and nobody heard that it was given back: its lease may have ended by itself. */
  readonly unleft: Set<string>
}

/**
 * A store that is away at times, before or after it did what was asked, and to which some leases' renewals never come.
 */
export const troubled = (seed: string, injected: (kind: string) => void, { unleft, unwritten }: Unsaid) => {
  const of = chance(seed, "store")
  const cutOff = new Set<number>()
  const released = new Set<number>()
  /** Often away for what opens a response: its outcome must be known all the same. */
  const maybeAway = <A, E>(operation: Effect.Effect<A, E>, share: number, what: string) =>
    Effect.suspend((): Effect.Effect<A, E | TokenStoreError.TokenStoreError> => {
      if (!of.hits(share)) return operation
      const done = of.hits(0.5)
      injected(done ? `${what} answer lost` : `${what} away`)
      return done ? Effect.andThen(operation, Effect.fail(away)) : Effect.fail(away)
    })
  return changing((inner) => ({
    commit: (lease, commit) => {
      const opens = commit.facts?.some(({ _tag }) => _tag === "Requested") === true
      return maybeAway(inner.commit(lease, commit), opens ? 0.05 : 0.01, opens ? "opening" : "store").pipe(
        // What was not known yet keeps a write from being one.
        Effect.tap(({ outcome }) =>
          Effect.sync(() => outcome === "written" && !cutOff.has(lease.fence) && unwritten.delete(lease.runId))
        ),
        // On a machine that stands still for longer than a lease, a lease is lost without any trouble of ours; and what
        // takes longer than `closeTimeout` is broken off.
        Effect.onError(() => Effect.sync(() => unwritten.add(lease.runId)))
      )
    },
    record: (id, fact, seen) => maybeAway(inner.record(id, fact, seen), 0.03, "record"),
    acquire: (id, options) => Effect.tap(inner.acquire(id, options), () => Effect.sync(() => unleft.add(id))),
    claim: (options) =>
      Effect.tap(inner.claim(options), ({ taken }) =>
        Effect.sync(() => taken.forEach(({ lease }) => unleft.add(lease.runId)))
      ),
    release: (lease, options) =>
      Effect.tap(inner.release(lease, options), () =>
        Effect.sync(() => {
          unleft.delete(lease.runId)
          released.add(lease.fence)
        })
      ),
    renew: (lease, ttl, seen) =>
      Effect.suspend(() => {
        if (!chance(seed, lease.runId, lease.fence).hits(0.1)) {
          // A lease that ends before the store is back, or answers, takes the last position with it.
          return Effect.onError(inner.renew(lease, ttl, seen), () =>
            Effect.sync(() => !released.has(lease.fence) && unwritten.add(lease.runId))
          )
        }
        injected("renewal lost")
        cutOff.add(lease.fence)
        unwritten.add(lease.runId)
        return Effect.never
      })
  }))
}

const noLog = new UpdateLogError.UpdateLogError({ operation: "append", kind: "unavailable", description: "away" })

/** A log that is away at times, before or after it did what was asked. */
export const troubledLog = (seed: string, injected: (kind: string) => void) => {
  const of = chance(seed, "log")
  const maybeAway = <A, E>(operation: Effect.Effect<A, E>) =>
    Effect.suspend((): Effect.Effect<A, E | UpdateLogError.UpdateLogError> => {
      if (!of.hits(0.02)) return operation
      const done = of.hits(0.5)
      injected(done ? "log answer lost" : "log away")
      return done ? Effect.andThen(operation, Effect.fail(noLog)) : Effect.fail(noLog)
    })
  return logging((inner) => ({
    open: (runId, epoch) => maybeAway(inner.open(runId, epoch)),
    append: (runId, chunk) => maybeAway(inner.append(runId, chunk)),
    read: (runId, options) => maybeAway(inner.read(runId, options))
  }))
}

/** A clock whose wall time jumps by hours, forward and back, while its monotonic time goes on. */
export const jumping = (seed: string, injected: (kind: string) => void) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const of = chance(seed, "clock")
    let offset = 0
    const jump = Effect.sync(() => {
      offset = of.between(-48, 48) * 3_600_000
      injected("clock jump")
    })
    yield* Effect.forkScoped(
      Effect.forever(
        Effect.andThen(
          Effect.suspend(() => clock.sleep(Duration.millis(of.between(100, 1000)))),
          jump
        )
      )
    )
    return Jumping.off(clock, () => offset)
  })

// ---- sabotage: a guarantee broken on purpose, which must be found

/** Positions are written ahead of what the consumer finished with. */
const ahead = changing((inner) => ({
  commit: (lease, { position, ...commit }) =>
    inner.commit(lease, {
      ...commit,
      ...(position === undefined ? {} : { position: { ...position, token: moved(position.token) } })
    })
}))

const moved = (token: ContinuationToken.ContinuationToken) =>
  token.epoch !== undefined
    ? { ...token, offset: token.offset < 8 ? token.offset : token.offset + 4 }
    : token.origin === "snapshot" || token.sequenceNumber < 8
      ? token
      : { ...token, sequenceNumber: token.sequenceNumber + 4, skip: 0 }

/** Whoever comes takes the run over, and who lost it writes on. */
const unfencedStore = changing((inner) => ({
  acquire: (id, options) => inner.acquire(id, { ...options, steal: true }),
  renew: (lease, ttl, seen) => Effect.catchTag(inner.renew(lease, ttl, seen), "LeaseLost", () => Effect.succeed([])),
  commit: (lease, commit) =>
    inner.commit(lease, commit).pipe(
      Effect.catchTag("LeaseLost", () =>
        inner.read(lease.runId).pipe(
          Effect.flatMap((record) => {
            const { lease: current, ordinal } = Option.getOrThrow(record)
            return current === null
              ? Effect.fail(new AgentError.LeaseLost({ runId: lease.runId }))
              : inner.commit(
                  { runId: lease.runId, ...current },
                  commit.position === undefined
                    ? commit
                    : { ...commit, position: { ...commit.position, ordinal: ordinal + 1 } }
                )
          })
        )
      )
    )
}))

/** Some events come twice, the second time under a number of its own. */
const renumbered = (seed: string) => {
  const change = <E>(events: Stream.Stream<BackgroundModel.ModelEvent, E>) =>
    Stream.flatMap(events, (event) => {
      const n = event.sequenceNumber
      if (n === undefined) return Stream.succeed(event)
      const again = event.statements.some(({ _tag }) => _tag === "Delta") && chance(seed, n).hits(0.02)
      const first = { ...event, sequenceNumber: 2 * n }
      return again ? Stream.make(first, { ...event, sequenceNumber: 2 * n + 1 }) : Stream.succeed(first)
    })
  return Layer.effect(
    BackgroundModel.BackgroundModel,
    Effect.map(BackgroundModel.BackgroundModel, (inner): Model => ({
      ...inner,
      create: (request) => change(inner.create(request)),
      resume: (responseId, { after }) =>
        change(inner.resume(responseId, after === undefined ? {} : { after: Math.floor(after / 2) }))
    }))
  )
}

/** A log that answers that a chunk is stored some time before it is. */
const lazy = logging((inner) => {
  const writers = new Map<string, Semaphore.Semaphore>()
  return {
    append: (runId, chunk) =>
      Effect.suspend(() => {
        const one = writers.get(runId) ?? Semaphore.makeUnsafe(1)
        writers.set(runId, one)
        return inner
          .append(runId, chunk)
          .pipe(
            Effect.delay("150 millis"),
            one.withPermit,
            Effect.ignore,
            Effect.forkDetach({ startImmediately: true }),
            Effect.as({ length: chunk.from + chunk.count, bytes: 0 })
          )
      })
  }
})

/** A store in which the last result of a call counts, and not the first, for all of this process. */
const lastResult = changing((inner) => {
  const results = new Map<string, RunRecord.Fact>()
  const keyOf = (runId: string, fact: RunRecord.NewFact) => `${runId} ${RunRecord.keyOf(fact)}`
  const facts = (runId: string, all: ReadonlyArray<RunRecord.Fact>) =>
    all.map((fact) => (fact._tag === "ToolEnded" ? (results.get(keyOf(runId, fact)) ?? fact) : fact))
  const record = <R extends RunRecord.RunRecord>(of: R): R => ({ ...of, journal: facts(of.runId, of.journal) })
  const keep = (runId: string, given: ReadonlyArray<RunRecord.NewFact> = []) =>
    given.forEach((fact) => fact._tag === "ToolEnded" && results.set(keyOf(runId, fact), { ...fact, at: Date.now() }))
  return {
    read: (id) => Effect.map(inner.read(id), Option.map(record)),
    acquire: (id, options) =>
      Effect.map(inner.acquire(id, options), (taken) => ({ ...taken, record: record(taken.record) })),
    commit: (lease, commit) =>
      Effect.map(inner.commit(lease, commit), (answer) => {
        if (answer.outcome === "written") keep(lease.runId, commit.facts)
        return { ...answer, facts: facts(lease.runId, answer.facts) }
      }),
    record: (id, fact, seen) =>
      Effect.map(inner.record(id, fact, seen), (answer) => {
        keep(id, [fact])
        return facts(id, answer)
      })
  }
})

const asIs = {
  store: changing(() => ({})),
  log: logging(() => ({})),
  model: Layer.effect(BackgroundModel.BackgroundModel, BackgroundModel.BackgroundModel)
}

/** What is broken on purpose. */
export const sabotages = (seed: string) => ({
  none: asIs,
  ack: { ...asIs, store: ahead },
  fence: { ...asIs, store: unfencedStore },
  dedupe: { ...asIs, model: renumbered(seed) },
  "log-fence": { ...asIs, log: logging(unfenced) },
  "log-order": { ...asIs, log: lazy },
  "tool-first": { ...asIs, store: lastResult },
  "log-end": { ...asIs, log: logging((inner) => endless.log!(inner)) }
})
