// Guarantees 1 and 5 for positions alone: the real decoder and `Follow` over events in memory, without connections, stores
// or time. What is read before and after a cut, by replay or by a look, is the whole; no text comes twice, none is lost.
import { BackgroundModel, ContinuationToken, Follow, Run } from "@effect-baton/core"
import type { AgentUpdate } from "@effect-baton/core/AgentUpdate"
import { assert, describe } from "@effect/vitest"
import { Effect, Option, Stream } from "effect"
import { law } from "../support/law.ts"
import { type Json, MadeUp, record } from "./madeUp.ts"
import { plain, provider } from "./statements.ts"
import { answers, over, read, sse } from "./support.ts"

interface Told {
  readonly updates: ReadonlyArray<AgentUpdate>
  readonly divergence: string | undefined
}

const startOfRun = ContinuationToken.start("analyst", Run.RunId.make("run-1"), 1)

/** What the adapter makes of a recording. */
const decoded = Effect.fnUntraced(function* (events: ReadonlyArray<Json>, response: Json) {
  const { events: told, error } = yield* read(...events.map(sse))
  assert.isUndefined(error)
  const { snapshot } = yield* Effect.flatMap(BackgroundModel.BackgroundModel, (model) => model.retrieve("resp_1")).pipe(
    Effect.provide(over(answers(200, response)))
  )
  return provider(told, [snapshot])
})

/** Reads on after a position: by a replay, or by a look. */
const readOn = Effect.fnUntraced(function* (
  model: BackgroundModel.BackgroundModel["Service"],
  from: ContinuationToken.ContinuationToken,
  how: "replay" | "look"
): Effect.fn.Return<Told> {
  const updates: Array<AgentUpdate> = []
  const divergence = yield* Follow.response({ responseId: "resp_1", streamed: how === "replay" }, from).pipe(
    Stream.runForEach((element) =>
      Effect.sync(() => {
        if (element._tag === "Update") updates.push(element)
      })
    ),
    Effect.provideService(BackgroundModel.BackgroundModel, model),
    Effect.match({
      onSuccess: () => undefined,
      onFailure: ({ message, reason }) => {
        assert.strictEqual(reason._tag, "RunDiverged")
        return message
      }
    })
  )
  return { updates, divergence }
})

/** The token of an update, through its text. */
const tokenAfter = (updates: ReadonlyArray<AgentUpdate>, k: number) => {
  if (k === 0) return startOfRun
  const text = Effect.runSync(ContinuationToken.encode(Option.getOrThrow(updates[k - 1]!.continuationToken)))
  assert.isAtMost(text.length, 1024)
  return Effect.runSync(ContinuationToken.decode(text))
}

/** What names a part: the provider's own calls have the ids of their items, which some servers change. */
const nameOf = (part: NonNullable<AgentUpdate["part"]>): string => {
  if (part.type === "tool-result" || (part.type === "tool-call" && part.providerExecuted)) return ` ${part.name}`
  return part.type === "source" || part.type === "tool-call" ? ` ${part.id}` : ""
}

/** What a stream comes to: for each part its kind, id and text, the deltas of one id joined, and how it finished. */
const outcome = (updates: ReadonlyArray<AgentUpdate>): ReadonlyArray<string> => {
  const parts = new Map<string, string>()
  let others = 0
  for (const { part } of updates) {
    if (part === undefined) continue
    const id =
      "delta" in part || /-(start|end)$/.test(part.type) ? String((part as { id: string }).id) : `other ${others++}`
    const said = "delta" in part ? part.delta : `<${part.type}${nameOf(part)}>`
    parts.set(id, (parts.get(id) ?? "") + said)
  }
  return [...parts].map(([id, text]) => (id.startsWith("other") ? text : `${id} ${text}`)).toSorted()
}

/** Sources are found by their text, and the provider's own calls by their item. */
const isFoundByPlace = (part: NonNullable<AgentUpdate["part"]>): boolean =>
  /^(source|tool-result|reasoning)/.test(part.type) || (part.type === "tool-call" && part.providerExecuted)

/** The same of a server that keeps reasoning to itself: what comes after it may come elsewhere then. */
const outcomeWithoutReasoning = (updates: ReadonlyArray<AgentUpdate>): ReadonlyArray<string> =>
  outcome(updates.filter(({ part }) => part === undefined || !isFoundByPlace(part)))
    .map((said) => said.replaceAll(/\b\d+:\d+:\d+(:\d+)?/g, "").trim())
    // What holds nothing cannot be found again in another place.
    .filter((said) => !/^<[a-z-]+-start><[a-z-]+-end>$/.test(said))
    .toSorted()

/** Every text that came, of output and of reasoning. */
const textsOf = (updates: ReadonlyArray<AgentUpdate>): ReadonlyArray<string> => {
  const texts = new Map<string, string>()
  for (const { part } of updates) {
    if (part?.type === "text-delta" || part?.type === "reasoning-delta") {
      texts.set(part.id, (texts.get(part.id) ?? "") + part.delta)
    }
  }
  return [...texts.values()].toSorted()
}

/** Each part begins once, before all else of it, and ends once, after all else of it. */
const bounded = (updates: ReadonlyArray<AgentUpdate>) => {
  const stages = new Map<string, "open" | "over">()
  for (const { part } of updates) {
    if (part === undefined || !("id" in part) || !/^(text|reasoning|tool-params)-/.test(part.type)) continue
    const id = String(part.id)
    const stage = stages.get(id)
    if (part.type.endsWith("-start")) {
      assert.isUndefined(stage, `${id} begins once`)
      stages.set(id, "open")
    } else {
      assert.strictEqual(stage, "open", `${part.type} of ${id} within its bounds`)
      if (part.type.endsWith("-end")) stages.set(id, "over")
    }
  }
  for (const [id, stage] of stages) assert.strictEqual(stage, "over", `${id} ends`)
}

const wellFormed = (updates: ReadonlyArray<AgentUpdate>) => {
  for (const { part } of updates) if (part !== undefined && "delta" in part) assert.isTrue(part.delta.isWellFormed())
}

describe("positions of made-up responses", () => {
  law(
    "cut anywhere, replayed or filled, twice too: the whole, once, within bounds",
    [MadeUp],
    ([madeUp]) =>
      Effect.gen(function* () {
        const { events, response, texts } = record(madeUp)
        const model = yield* decoded(events, response)
        const whole = yield* readOn(model, startOfRun, "replay")
        wellFormed(whole.updates)
        // Indices that are used twice may lead to a divergence, but never to a text that comes twice. So may a response
        // that does not show all of its items, if the end of one was not seen.
        const isDoubtful =
          madeUp.indices === "doubled" ||
          (madeUp.shows === "no reasoning" && madeUp.items.some(({ missing }) => missing.done))
        if (isDoubtful && whole.divergence !== undefined) return
        assert.isUndefined(whole.divergence)
        bounded(whole.updates)
        const isOver = madeUp.status === "completed" || madeUp.status === "incomplete"
        if (madeUp.shows === "all" && isOver) {
          assert.deepStrictEqual(textsOf(whole.updates), [...texts].toSorted())
        }

        const { updates } = whole
        const outcomeOf = madeUp.shows === "no reasoning" ? outcomeWithoutReasoning : outcome
        for (let k = 0; k < updates.length; k++) {
          const from = tokenAfter(updates, k)
          const replayed = yield* readOn(model, from, "replay")
          assert.deepStrictEqual(plain(replayed.updates), plain(updates.slice(k)), `replayed after ${k}`)
          if (madeUp.shows === "nothing") continue
          const filled = yield* readOn(model, from, "look")
          // What cannot be put together is not filled in if the run failed.
          if (isDoubtful && (filled.divergence !== undefined || !isOver)) continue
          assert.isUndefined(filled.divergence, `filled after ${k}`)
          const all = [...updates.slice(0, k), ...filled.updates]
          assert.deepStrictEqual(outcomeOf(all), outcomeOf(updates), `filled after ${k}`)
          bounded(all)
          for (let j = 1; j < filled.updates.length; j++) {
            const again = yield* readOn(model, tokenAfter(filled.updates, j), "look")
            assert.isUndefined(again.divergence, `filled after ${k} and ${j}`)
            const both = [...updates.slice(0, k), ...filled.updates.slice(0, j), ...again.updates]
            assert.deepStrictEqual(outcomeOf(both), outcomeOf(updates), `filled after ${k} and ${j}`)
          }
        }
      }),
    { arbitrary: { runs: 250 } }
  )
})
