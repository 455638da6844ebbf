// What is told of a run while it is followed, and that telling it changes nothing.
import { Agent, RunPolicy, TokenStore, TokenStoreError } from "@effect-baton/core"
import { LeaseLost } from "@effect-baton/core/AgentError"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Metric, Option, Stream, Tracer } from "effect"
import { AiError } from "effect/ai"
import { usingTokens } from "../support/models.ts"
import { analyst, type Services, type Update } from "../support/runs.ts"
import { changing, storeAway } from "../support/stores.ts"
import { passing } from "../support/time.ts"

const { completed, disconnect, fail, failed, pause, text } = ScriptedModel

const input = { input: "Hello", runId: "r" }
const ref = { runId: "r" }
const cutOnce = [text("a"), disconnect, text("b"), pause("1 second"), text("c"), completed]
/** Cut when its replay is refused already. */
const cutLate = [text("a"), pause("2 seconds"), disconnect, text("b"), completed]
const limited = new AiError.RateLimitError({})

const read = passing(Stream.runCollect(Agent.stream(analyst, input)))

const over = (
  script: ReadonlyArray<ScriptedModel.Step>,
  options: ScriptedModel.Options = {},
  store = TokenStore.layerMemory
) => Layer.merge(ScriptedModel.layer(script, options), store)

const using = (script: ReadonlyArray<ScriptedModel.Step>, asked: number, written: number) =>
  Layer.merge(usingTokens(script, asked, written), TokenStore.layerMemory)

/** The spans of the attachments that this makes, and its exit. */
const attachmentsOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    return Effect.map(Effect.exit(Effect.provideService(effect, Tracer.Tracer, tracer)), (exit) => ({
      exit,
      spans: spans.filter(({ name }) => name.startsWith("invoke_agent"))
    }))
  })

/** How an attachment came about, and how it ended. */
const told = ({ attributes, status }: Tracer.NativeSpan) => [
  attributes.get("baton.attach.how"),
  attributes.get("baton.attach.attempt"),
  attributes.get("baton.attach.position"),
  status._tag === "Started" ? "open" : Exit.isSuccess(status.exit) ? "ok" : attributes.get("error.type")
]

type Series = Record<string, ReadonlyArray<readonly [Readonly<Record<string, string>>, number]>>

/** Metrics of their own for an effect, with what they counted: of histograms, how often. */
const measured = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const exit = yield* Effect.exit(effect)
    const snapshots = yield* Metric.snapshot
    const series: Series = {}
    for (const metric of snapshots) {
      if (metric.type !== "Counter" && metric.type !== "Histogram") continue
      series[metric.id] = [...(series[metric.id] ?? []), [metric.attributes ?? {}, Number(metric.state.count)]]
    }
    return { exit, series, snapshots }
  }).pipe(Effect.provideService(Metric.MetricRegistry, new Map()))

const agent = { "gen_ai.agent.name": "analyst" }
const common = {
  ...agent,
  "gen_ai.operation.name": "invoke_agent",
  "gen_ai.provider.name": "scripted",
  "gen_ai.request.model": "scripted"
}

describe("spans", () => {
  it.effect("one for each attachment, linked by the run's id, with attempt and position", () =>
    Effect.gen(function* () {
      const { spans } = yield* attachmentsOf(read)
      assert.deepStrictEqual(spans.map(told), [
        ["create", 1, -1, "Disconnected"],
        ["replay", 2, 3, "ok"]
      ])
      for (const { attributes, kind, name } of spans) {
        assert.strictEqual(name, "invoke_agent analyst")
        assert.strictEqual(kind, "client")
        assert.strictEqual(attributes.get("baton.run.id"), "r")
        assert.strictEqual(attributes.get("gen_ai.response.id"), "resp_1")
        for (const [key, value] of Object.entries(common)) assert.strictEqual(attributes.get(key), value)
      }
    }).pipe(Effect.provide(over(cutOnce)))
  )

  it.effect("a replay that is refused, and the looks of the poll after it", () =>
    Effect.gen(function* () {
      const { spans } = yield* attachmentsOf(read)
      assert.deepStrictEqual(spans.map(told), [
        ["create", 1, -1, "Disconnected"],
        ["replay", 2, 3, "ReplayUnavailable"],
        ["poll", 3, 3, "ok"]
      ])
      assert.strictEqual(spans.at(-1)?.attributes.get("baton.run.status"), "completed")
    }).pipe(Effect.provide(over(cutLate, { replayFor: "1 second" })))
  )

  it.effect("the last tells how the run ended, and what it used", () =>
    Effect.gen(function* () {
      const { spans } = yield* attachmentsOf(read)
      const attributes = spans.at(-1)!.attributes
      assert.strictEqual(attributes.get("baton.run.status"), "completed")
      assert.deepStrictEqual(attributes.get("gen_ai.response.finish_reasons"), ["stop"])
      assert.strictEqual(attributes.get("gen_ai.response.model"), "scripted-1")
      assert.strictEqual(attributes.get("gen_ai.usage.input_tokens"), 10)
      assert.strictEqual(attributes.get("gen_ai.usage.output_tokens"), 20)
      assert.strictEqual(attributes.get("gen_ai.usage.cache_read.input_tokens"), 1)
      assert.strictEqual(attributes.get("gen_ai.usage.reasoning.output_tokens"), 2)
    }).pipe(Effect.provide(using(cutOnce, 10, 20)))
  )

  const endings: ReadonlyArray<readonly [string, Layer.Layer<Services>, Array<[how: string, error: string]>]> = [
    [
      "a request that was refused",
      over([fail(limited), text("a"), completed]),
      [
        ["create", "RateLimitError"],
        ["create", "ok"]
      ]
    ],
    ["a run that failed", over([text("a"), failed("no")]), [["create", "RunFailed"]]],
    [
      "a polled run that failed",
      over([text("a"), pause("2 seconds"), disconnect, failed("no")], { capabilities: { resume: false } }),
      [
        ["create", "Disconnected"],
        ["poll", "RunFailed"]
      ]
    ],
    ["a create without an answer", over([completed], { confirms: false }), [["create", "CreateUnconfirmed"]]],
    [
      "a store that fails when the response gets its name",
      over([text("a"), completed], {}, changing(TokenStore.layerMemory, broken)),
      [["create", "StoreFailed"]]
    ],
    [
      "a lease that is lost",
      over([text("a"), pause("1 minute"), completed], {}, changing(TokenStore.layerMemory, stolen)),
      [["create", "LeaseLost"]]
    ]
  ]

  it.effect.each(endings)("%s ends a span with an error and its type", ([, layer, expected]) =>
    Effect.gen(function* () {
      const { spans } = yield* attachmentsOf(read)
      assert.deepStrictEqual(
        spans.map(told).map(([how, , , error]) => [String(how), String(error)]),
        expected
      )
    }).pipe(Effect.provide(layer))
  )

  it.effect("leaving leaves no span open, and is no error", () =>
    Effect.gen(function* () {
      const taken = yield* attachmentsOf(passing(Stream.runDrain(Stream.take(Agent.stream(analyst, input), 2))))
      assert.deepStrictEqual(taken.spans.map(told), [["create", 1, -1, "ok"]])

      const arrived = yield* Deferred.make<void>()
      const waiting = Agent.resume(analyst, ref).pipe(
        Stream.runForEach((update) => (update.text === "b" ? Deferred.succeed(arrived, undefined) : Effect.void))
      )
      const interrupted = yield* attachmentsOf(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(waiting)
          yield* passing(Deferred.await(arrived))
          yield* Fiber.interrupt(fiber)
        })
      )
      assert.deepStrictEqual(
        interrupted.spans.map(({ status }) => [
          status._tag,
          status._tag === "Ended" && Exit.hasInterrupts(status.exit)
        ]),
        [["Ended", true]]
      )
      assert.isFalse(interrupted.spans[0]!.attributes.has("error.type"))

      const failing = yield* attachmentsOf(
        passing(Stream.runForEach(Agent.resume(analyst, ref), () => Effect.fail("the consumer's own")))
      )
      assert.deepStrictEqual(failing.spans.map(told)[0]?.at(-1), "_OTHER")
    }).pipe(
      // The run is still under way when its consumer fails.
      Effect.provide(
        over([text("a"), text("b"), pause("1 minute"), text("c"), pause("1 minute"), text("d"), completed])
      )
    )
  )

  it.effect("a run that is started and polled has its spans too, and the hook sees the same", () => {
    const seen: Array<RunPolicy.Attachment> = []
    return Effect.gen(function* () {
      const { spans } = yield* attachmentsOf(
        passing(Effect.andThen(Agent.start(analyst, input), Agent.result(analyst, ref)))
      )
      assert.deepStrictEqual(spans.map(told), [
        ["create", 1, -1, "ok"],
        ["poll", 1, -1, "ok"],
        ["poll", 2, -1, "ok"]
      ])
      assert.deepStrictEqual(
        seen.map(({ attempt, how, sequenceNumber }) => [how, attempt, sequenceNumber, "ok"]),
        spans.map(told)
      )
      assert.strictEqual(spans.at(-1)?.attributes.get("baton.run.status"), "completed")
    }).pipe(
      Effect.provide(RunPolicy.layer({ onAttach: (attachment) => Effect.sync(() => void seen.push(attachment)) })),
      Effect.provide(over([text("a"), pause("1 second"), completed]))
    )
  })
})

describe("metrics", () => {
  it.effect("of a run that is cut, and falls back to polling", () =>
    Effect.gen(function* () {
      const { exit, series, snapshots } = yield* measured(read)
      const updates = Exit.isSuccess(exit) ? exit.value : []
      const how = (name: string) => ({ ...common, "baton.attach.how": name, unit: "s" })
      assert.deepStrictEqual(series["gen_ai.client.operation.duration"], [
        [{ ...how("create"), "error.type": "Disconnected" }, 1],
        [{ ...how("replay"), "error.type": "ReplayUnavailable" }, 1],
        [how("poll"), 1]
      ])
      assert.deepStrictEqual(series["gen_ai.client.operation.time_to_first_chunk"], [[{ ...common, unit: "s" }, 1]])
      assert.deepStrictEqual(series["baton.updates"], [[common, updates.length]])
      assert.deepStrictEqual(series["baton.reconnects"], [[common, 1]])
      assert.deepStrictEqual(series["baton.fallbacks"], [[common, 1]])
      assert.deepStrictEqual(series["baton.runs"], [[{ ...agent, "baton.run.status": "completed" }, 1]])
      assert.isUndefined(series["baton.leases.lost"])
      assert.isUndefined(series["baton.final_writes.failed"])
      const lasted = snapshots.find(({ id }) => id === "gen_ai.client.operation.duration")
      assert.isTrue(lasted?.type === "Histogram" && lasted.state.sum >= 2 && lasted.state.sum < 2.2)
      for (const id of ["gen_ai.client.operation.duration", "gen_ai.client.operation.time_to_first_chunk"]) {
        const histogram = snapshots.find((metric) => metric.id === id)
        assert.deepStrictEqual(
          histogram?.type === "Histogram" ? histogram.state.buckets.map(([boundary]) => boundary) : [],
          [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, Infinity]
        )
      }
    }).pipe(Effect.provide(over(cutLate, { replayFor: "1 second" })))
  )

  it.effect("tokens are counted once, whoever reads along or again", () =>
    Effect.gen(function* () {
      const { series, snapshots } = yield* measured(
        Effect.gen(function* () {
          yield* Agent.start(analyst, input)
          yield* passing(Agent.result(analyst, ref))
          yield* passing(Stream.runDrain(Agent.watch(analyst, ref)))
          yield* passing(Stream.runDrain(Agent.resume(analyst, ref)))
          yield* passing(Agent.result(analyst, ref))
        })
      )
      const type = (name: string) => ({
        ...common,
        "gen_ai.response.model": "scripted-1",
        "gen_ai.token.type": name,
        unit: "{token}"
      })
      assert.deepStrictEqual(series["gen_ai.client.token.usage"], [
        [type("input"), 1],
        [type("output"), 1]
      ])
      assert.deepStrictEqual(series["baton.runs"], [[{ ...agent, "baton.run.status": "completed" }, 1]])
      const tokens = snapshots.filter(({ id }) => id === "gen_ai.client.token.usage")
      assert.deepStrictEqual(
        tokens.map((metric) => (metric.type === "Histogram" ? metric.state.sum : 0)),
        [10, 20]
      )
      assert.deepStrictEqual(
        tokens[0]?.type === "Histogram" ? tokens[0].state.buckets.map(([boundary]) => boundary) : [],
        [...Array.from({ length: 14 }, (_, i) => 4 ** i), Infinity]
      )
    }).pipe(Effect.provide(using([text("a"), pause("1 second"), completed], 10, 20)))
  )

  it.effect("of writes: how long they took, which failed, and how far they were behind", () => {
    let away = false
    const slow = changing(TokenStore.layerMemory, (inner) => ({
      commit: (lease, commit) =>
        Effect.andThen(
          Effect.sleep("100 millis"),
          Effect.suspend(() => (away ? Effect.fail(storeAway("commit")) : inner.commit(lease, commit)))
        )
    }))
    return Effect.gen(function* () {
      const { series, snapshots } = yield* measured(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(
            Stream.runForEach(Agent.stream(analyst, input), (update) =>
              Effect.sync(() => {
                away = update.text === "b"
              })
            )
          )
          yield* passing(Fiber.join(fiber), 10)
        })
      )
      const written = { ...agent, unit: "s" }
      const [ok, refused] = series["baton.checkpoint.duration"] ?? []
      assert.deepStrictEqual(ok?.[0], written)
      assert.deepStrictEqual(refused?.[0], { ...written, "error.type": "unavailable" })
      assert.isAbove(refused?.[1] ?? 0, 2)
      const sums = Object.fromEntries(
        snapshots.flatMap((metric) => (metric.type === "Histogram" ? [[metric.id, metric.state] as const] : []))
      )
      assert.closeTo(sums["baton.checkpoint.duration"]!.min, 0.1, 0.02)
      // The position of `a` was written in one go; that of `b` waited for as long as the store was away.
      assert.closeTo(sums["baton.checkpoint.lag"]!.min, 0.3, 0.02)
      assert.isAtLeast(sums["baton.checkpoint.lag"]!.max, 1)
      assert.isBelow(sums["baton.checkpoint.lag"]!.max, 2)
    }).pipe(
      Effect.provide(over([text("a"), pause("1 second"), text("b"), pause("1 second"), text("c"), completed], {}, slow))
    )
  })

  it.effect("of a lease that is lost", () =>
    Effect.gen(function* () {
      const { series } = yield* measured(read)
      assert.deepStrictEqual(series["baton.leases.lost"], [[agent, 1]])
      assert.isUndefined(series["baton.runs"])
    }).pipe(
      Effect.provide(over([text("a"), pause("1 minute"), completed], {}, changing(TokenStore.layerMemory, stolen)))
    )
  )
})

/** Updates without what tells two runs of one id apart. */
const sameRun = (updates: ReadonlyArray<Update>) =>
  updates.map((update) => ({
    ...update,
    continuationToken: Option.map(update.continuationToken, (token) => ({ ...token, incarnation: 0 }))
  }))

describe("tracing on or off", () => {
  it.effect.each([
    ["streamed", over(cutOnce)],
    ["polled", over(cutLate, { replayFor: "1 second" })]
  ] as const)("a run that is %s gives the same, update for update and token for token", ([, layer]) =>
    Effect.gen(function* () {
      const once = Effect.provide(read, Layer.fresh(layer))
      const off = sameRun(yield* Effect.withTracerEnabled(once, false))
      const { exit, spans } = yield* attachmentsOf(measured(Effect.withSpan(once, "parent")))
      assert.isAbove(spans.length, 1)
      const on = Exit.isSuccess(exit) ? Exit.map(exit.value.exit, sameRun) : exit
      assert.deepStrictEqual(on, Exit.succeed(off))
    })
  )
})

// ---- stores with troubles

/** Records nothing that was seen of a run. */
function broken(): Partial<TokenStore.TokenStore["Service"]> {
  const error = new TokenStoreError.TokenStoreError({ operation: "record", kind: "denied", description: "read-only" })
  return { record: () => Effect.fail(error) }
}

/** Another worker took the run: what the first renewal is told. */
function stolen(): Partial<TokenStore.TokenStore["Service"]> {
  return { renew: (lease) => Effect.fail(new LeaseLost({ runId: lease.runId })) }
}
