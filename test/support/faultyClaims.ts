import { RunState, TokenStore } from "@effect-baton/core"
import { NodeServices } from "@effect/platform-node"
import { Clock, Duration, Effect, FileSystem, Layer, Option, Stream, Struct } from "effect"
import { changing } from "./stores.ts"

// Stores that break what a store promises about claims, inputs, hints, listings and the time that it keeps runs.

type Service = TokenStore.TokenStore["Service"]
type Claim = Service["claim"]

const memory = TokenStore.layerMemory

const claimingBy = (change: (claim: Claim, store: Service) => Claim) =>
  changing(memory, (inner) => ({ claim: change(inner.claim, inner) }))

/** A store without parts, in which nobody finds work. */
export const partless = changing(memory, () => ({ shards: [] }))

/** A store that hides one of several runs that it takes. */
export const losesSome = claimingBy(
  (claim) => (options) =>
    Effect.map(claim(options), (claimed) => ({ ...claimed, taken: claimed.taken.filter((_, i) => i % 5 !== 4) }))
)

/** A store that gives the last first. */
export const lastFirst = claimingBy(
  (claim) => (options) => Effect.map(claim(options), (claimed) => ({ ...claimed, taken: claimed.taken.toReversed() }))
)

/** A store that gives runs of every agent. */
export const ofAnyAgent = claimingBy((claim) => (options) => claim({ ...options, agents: ["analyst", "poet", "é 日"] }))

/** A store that gives one run more than is wanted. */
export const oneMore = claimingBy((claim) => (options) => claim({ ...options, limit: options.limit + 1 }))

/** A store that does not know who asks again. */
export const forgetsOwners = claimingBy((claim) => {
  let asked = 0
  return (options) => claim({ ...options, owner: `${options.owner} ${asked++}` })
})

/** A store that does not say when the next run is due. */
export const withoutNext = claimingBy((claim) => (options) => Effect.map(claim(options), ({ taken }) => ({ taken })))

/** A store that leaves out runs that were held, or tried again, before. */
export const shunsUsed = claimingBy(
  (claim) => (options) =>
    Effect.map(claim(options), (claimed) => ({
      ...claimed,
      taken: claimed.taken.filter(({ record }) => record.attempts.length < 2 && record.journal.length === 0)
    }))
)

/** A store whose claims take what they have found some time before: whatever it is, and whoever has it by now. */
export const looksFirst = claimingBy(
  (_, inner) =>
    ({ agents, limit, owner, ttl }) =>
      Effect.gen(function* () {
        const { items } = yield* inner.list({ limit: 1000 })
        const free = items.filter((run) => agents.includes(run.agent) && run.lease === null && run.due !== null)
        yield* Effect.yieldNow
        const taken = yield* Effect.forEach(free.slice(0, limit), ({ runId }) =>
          Effect.option(inner.acquire(runId, { owner, ttl, steal: true }))
        )
        return { taken: taken.flatMap(Option.toArray) }
      })
)

/** A store that promises nothing to a consumer. */
export const promisesNothing = changing(memory, (inner) => ({
  create: (run, options) => inner.create(run, { ...options, handled: false })
}))

/** A store that keeps no input. */
export const withoutInputs = changing(memory, (inner) => ({
  create: (run, options = {}) => inner.create(run, Struct.omit(options, ["input"]))
}))

/** A store that keeps the beginning of an input. */
export const cutsInputs = changing(memory, (inner) => ({
  create: (run, options) =>
    inner.create(run, {
      ...options,
      ...(options?.input === undefined ? {} : { input: { ...options.input, text: options.input.text.slice(0, 1000) } })
    })
}))

/** What a store has ever been given as inputs. */
const noting = (inner: Service) => {
  const inputs = new Map<string, string>()
  const create: Service["create"] = (run, options) =>
    Effect.suspend(() => {
      if (options?.input !== undefined) inputs.set(run.runId, options.input.text)
      return inner.create(run, options)
    })
  return { inputs, create }
}

/** A store that never forgets an input. */
export const keepsInputs = changing(memory, (inner) => {
  const { create, inputs } = noting(inner)
  return {
    create,
    acquire: (id, options) =>
      Effect.map(inner.acquire(id, options), (taken) => {
        const input = inputs.get(id)
        return input === undefined ? taken : { ...taken, input }
      })
  }
})

/** A store that shows the input to whoever reads the run. */
export const showsInputs = changing(memory, (inner) => {
  const { create, inputs } = noting(inner)
  return {
    create,
    read: (id) =>
      Effect.map(
        inner.read(id),
        Option.map((record) => ({ ...record, digest: inputs.get(record.runId) ?? "" }))
      )
  }
})

/** A place whose store keeps inputs no longer than its process. */
export const losesInputs = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-" })
  const file = Layer.orDie(Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer))
  return changing(file, (inner) => {
    const { create, inputs } = noting(inner)
    return {
      create,
      acquire: (id, options) =>
        Effect.map(inner.acquire(id, options), ({ input, ...taken }) =>
          input === undefined || !inputs.has(id) ? taken : { ...taken, input }
        )
    }
  })
}).pipe(Effect.provide(NodeServices.layer))

/** A store that tells nothing after it was asked to listen. */
export const silent = changing(memory, (inner) => ({
  wakeups: Stream.concat(Stream.take(inner.wakeups, 1), Stream.never)
}))

/** A store whose hints do not begin with its parts. */
export const beginsSilent = changing(memory, (inner) => ({ wakeups: Stream.drop(inner.wakeups, 1) }))

/** A store whose hints name nobody, and are all for now. */
export const vague = changing(memory, (inner) => ({
  wakeups: Stream.map(inner.wakeups, (hint) =>
    hint._tag === "Run" ? { _tag: "Run", runId: hint.runId } : { ...hint, after: Duration.zero }
  )
}))

/** A store that gives work only to who has listened. */
export const relyingOnHints = changing(memory, (inner) => {
  let isHeard = false
  return {
    wakeups: Stream.suspend(() => {
      isHeard = true
      return inner.wakeups
    }),
    claim: (options) => Effect.suspend(() => inner.claim(isHeard ? options : { ...options, limit: 0 }))
  }
})

/** A store in which a run never waits. */
export const neverWaiting = changing(memory, (inner) => ({
  list: ({ status, ...filter }) =>
    Effect.map(inner.list(filter), (page) => ({
      ...page,
      items: page.items.filter(
        (record) => status?.includes(RunState.statusOf(RunState.fold(record), record.position)) ?? true
      )
    }))
}))

/** A store that looks at neither labels nor parking. */
export const unfiltered = changing(memory, (inner) => ({
  list: (filter) => inner.list(Struct.omit(filter, ["labels", "parked"]))
}))

/** A store that keeps no labels. */
export const withoutLabels = changing(memory, (inner) => ({
  create: (run, options) => inner.create(Struct.omit(run, ["labels"]), options)
}))

/** A store that counts the runs of all agents together. */
export const countsAll = changing(memory, (inner) => ({ count: () => inner.count({}) }))

/** A store that hides what was created a while ago, whatever became of it. */
export const hidesOld = (after: Duration.Duration) =>
  changing(memory, (inner) => ({
    list: (filter) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.map(inner.list(filter), (page) => ({
          ...page,
          items: page.items.filter(({ createdAt }) => createdAt + Duration.toMillis(after) > now)
        }))
      )
  }))
