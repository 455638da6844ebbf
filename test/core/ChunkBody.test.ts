// The bodies of chunks in an update log: what is read is what was written, and a damaged body is a typed error.
import { type AgentUpdate, ContinuationToken, Run, Session } from "@effect-baton/core"
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Option, Result, Schema } from "effect"
import { Response } from "effect/ai"
// oxlint-disable-next-line eslint/no-restricted-imports -- the format is not public, and later versions must read it
import * as ChunkBody from "../../packages/core/src/internal/logged/chunkBody.ts"
import { law } from "../support/law.ts"
import { positions } from "../support/positions.ts"

type Update = AgentUpdate.AgentUpdate

const runId = Run.RunId.make("r")
const responseId = "resp_1"
const origins = ["live", "replay", "snapshot", "journal"] as const
const start = ContinuationToken.start("analyst", runId, 1)

const tokenAt = (offset: number, status: Run.RunStatus): Update["continuationToken"] =>
  Option.some({ ...start, offset, status, epoch: 7 })

/** An update without what follows from the others and from its place. */
const Said = Schema.Struct({
  part: Schema.optionalKey(Response.StreamPart()),
  status: Run.RunStatus,
  waitingFor: Schema.optionalKey(Run.WaitingFor),
  limit: Schema.optionalKey(Run.LimitName),
  turn: Schema.optionalKey(Schema.Natural),
  retried: Schema.optionalKey(Schema.Literal(true)),
  session: Schema.optionalKey(Session.Session)
})
/** Texts of few lanes, as most updates are. */
const Delta = Schema.Struct({
  type: Schema.Literals(["text-delta", "reasoning-delta", "tool-params-delta"]),
  id: Schema.Literals(["0", "1", "text 0", "__proto__"]),
  delta: Schema.String
})

const deltaOf = ({ delta, id, type }: typeof Delta.Type): Update["part"] =>
  Response.makePart(type, { id, delta, metadata: {} })

const PartJson = Schema.toCodecJson(Response.StreamPart())
const encodePart = Schema.encodeSync(PartJson)
const decodePart = Schema.decodeUnknownSync(PartJson)

// JSON has no -0, and without its tool a result is read as it was encoded.
const asJson = (part: NonNullable<(typeof Said.Type)["part"]>): NonNullable<Update["part"]> =>
  decodePart(JSON.parse(JSON.stringify(encodePart(part))))

const updateOf = (
  { limit, part, status, ...others }: typeof Said.Type,
  from: number,
  index: number,
  origin: Update["origin"]
): Update => ({
  _tag: "Update",
  ...(part === undefined ? {} : { part: asJson(part) }),
  text: part?.type === "text-delta" ? part.delta : "",
  status,
  ...others,
  // Only an update that says that the run waits for a limit names one.
  ...(limit === undefined || others.waitingFor !== "limit" ? {} : { limit }),
  runId,
  responseId,
  continuationToken: tokenAt(from + index + 1, status),
  origin
})

const opened = (body: string) => Result.getOrThrow(ChunkBody.open(body))

const readsBack = Effect.fnUntraced(function* (
  updates: ReadonlyArray<Update>,
  from: number,
  origin: Update["origin"],
  position: ContinuationToken.ContinuationToken
) {
  const content = { responseId, origin, updates }
  const body = opened(yield* ChunkBody.encode(content, 1_795_802_177_312, position))
  assert.deepStrictEqual(Result.getOrThrow(ChunkBody.decode(runId, body, from, tokenAt)), content)
  assert.strictEqual(ChunkBody.incarnationOf(body), position.incarnation)
  const { epoch: _, ...kept } = position
  const offset = from + updates.length
  const after = Result.getOrThrow(ChunkBody.positionAfter(position.agent, position.runId, body, offset))
  assert.deepStrictEqual(after, { ...kept, offset })
})

const Place = Schema.Struct({
  from: Schema.Natural.check(Schema.isLessThan(2 ** 40)),
  origin: Schema.Literals(origins),
  position: Schema.Literals(positions.map((_, i) => i))
})

const few = <S extends Schema.Constraint>(item: S) => Schema.Array(item).check(Schema.isMaxLength(8))

const body = (told: unknown, change: (head: Array<unknown>) => void = () => undefined): string => {
  const head: Array<unknown> = [
    1,
    5,
    responseId,
    "live",
    "in_progress",
    [1, 0, null, -1, 0, "in_progress", "stream", "-----0-0", 0],
    [["text", "0"]]
  ]
  change(head)
  return JSON.stringify([...head, told])
}

const read = (text: string) =>
  Result.flatMap(ChunkBody.open(text), (found) => ChunkBody.decode(runId, found, 0, tokenAt))

describe("bodies of chunks", () => {
  law(
    "read back, for random updates of every kind",
    [few(Said), Place],
    ([said, { from, origin, position }]) =>
      readsBack(
        said.map((one, i) => updateOf(one, from, i, origin)),
        from,
        origin,
        positions[position]!
      ),
    { arbitrary: { runs: 500 } }
  )

  law(
    "read back, for texts of several lanes between other updates",
    [few(Schema.Union([Delta, Said])), Place],
    ([said, { from, origin, position }]) =>
      readsBack(
        said.map((one, i) => {
          const whole: typeof Said.Type = "delta" in one ? { part: deltaOf(one)!, status: "in_progress" } : one
          return updateOf(whole, from, i, origin)
        }),
        from,
        origin,
        positions[position]!
      ),
    { arbitrary: { runs: 500 } }
  )

  it.effect("the random updates have parts of every type", () =>
    Effect.gen(function* () {
      const sampled = yield* Arbitrary.sampleEffect(Arbitrary.schema(Response.StreamPart()), { count: 2000, seed: 1 })
      const types = new Set(sampled.map((part) => (part.type === "source" ? part.sourceType : part.type)))
      assert.strictEqual(types.size, 18, [...types].join())
    })
  )

  it.effect("read back, for a character that is cut in two, empty pieces and a piece alone", () =>
    Effect.forEach([["\ud83d", "\ude00"], ["", "a", ""], [""], ["a"]], (deltas) =>
      readsBack(
        deltas.map((delta, i) =>
          updateOf({ part: deltaOf({ type: "text-delta", id: "0", delta })!, status: "in_progress" }, 0, i, "live")
        ),
        0,
        "live",
        positions[1]!
      )
    )
  )

  it.effect("a text that follows another one of its lane takes itself and its length", () =>
    Effect.gen(function* () {
      const sizeOf = (count: number) =>
        Effect.map(
          ChunkBody.encode(
            {
              responseId,
              origin: "live",
              updates: Array.from({ length: count }, (_, i) =>
                updateOf(
                  { part: deltaOf({ type: "text-delta", id: "0", delta: " word" })!, status: "in_progress" },
                  0,
                  i,
                  "live"
                )
              )
            },
            1_795_802_177_312,
            positions[1]!
          ),
          ({ length }) => length
        )
      const [none, one, five, six] = yield* Effect.all([sizeOf(0), sizeOf(1), sizeOf(5), sizeOf(6)])
      // ` word` and `,5`
      assert.strictEqual(six - five, 7)
      assert.isAtMost(one - none, 24)
      assert.isAtMost(five / 5, 60)
    })
  )

  it("are refused if a later version wrote them", () => {
    const text = body([])
    assert.isTrue(Result.isSuccess(read(text)))
    const later = ChunkBody.open(body([], (head) => (head[0] = 2)))
    assert.isTrue(Result.isFailure(later) && later.failure instanceof ChunkBody.BodyInvalid)
  })

  const damaged: ReadonlyArray<readonly [name: string, text: string]> = [
    ["nothing", ""],
    ["half of one", body([[0, "a"]]).slice(0, -3)],
    ["no list", "{}"],
    ["null", "null"],
    ["an empty list", "[]"],
    ["updates that are no list", body({ length: 1 })],
    ["a missing field", JSON.stringify([1, 5, responseId, []])],
    ["one field more", JSON.stringify([...JSON.parse(body([])), []])],
    ["a text of an unknown lane", body([[1, "a"]])],
    ["a text of a negative lane", body([[-1, "a"]])],
    ["a text of half a lane", body([[0.5, "a"]])],
    ["a text of a lane by name", body([["length", "a"]])],
    ["a text of a lane as text", body([["0", "a"]])],
    ["a text that is a number", body([[0, 1]])],
    ["a text that is missing", body([[0]])],
    ["pieces that are longer than their text", body([[0, "ab", [1, 2]]])],
    ["pieces that are shorter than their text", body([[0, "ab", [1]]])],
    ["a piece of a negative length", body([[0, "ab", [-1, 3]]])],
    ["a piece of half a letter", body([[0, "ab", [0.5, 1.5]]])],
    ["a length that is a text", body([[0, "ab", ["1", 1]]])],
    ["lengths that are no list", body([[0, "ab", 2]])],
    ["a list in place of an update", body([[]])],
    ["an update that is null", body([null])],
    ["an update that is a text", body(["a"])],
    ["an unknown status", body([{ s: "lost" }])],
    ["a part of an unknown type", body([{ p: { type: "smell" } }])],
    ["a part that is null", body([{ p: null }])],
    ["an unknown reason to wait", body([{ w: "luck" }])],
    ["an unknown limit", body([{ w: "limit", l: "patience" }])],
    ["a turn that is negative", body([{ t: -1 }])],
    ["a turn that is a text", body([{ t: "1" }])],
    [
      "a position without its number of results",
      body([], (head) => (head[5] = (head[5] as ReadonlyArray<unknown>).slice(0, -1)))
    ],
    ["a session that is a text", body([{ n: "a" }])],
    ["a lane of an unknown kind", body([[0, "a"]], (head) => (head[6] = [["smell", "0"]]))]
  ]
  for (const [name, text] of damaged) {
    it(`are refused if they are damaged: ${name}`, () => {
      const result = read(text)
      assert.isTrue(Result.isFailure(result) && result.failure instanceof ChunkBody.BodyInvalid)
    })
  }

  it("with damaged rows have no position", () => {
    const rows = opened(body([], (head) => (head[5] = [1, 0, null, -1, 0, "in_progress", "stream", "~-x", 0])))
    assert.isTrue(Result.isFailure(ChunkBody.positionAfter("analyst", runId, rows, 0)))
  })

  law(
    "never throw, whatever is in the place of an update or of a field",
    [Schema.MutableJson, Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 7 }))],
    ([json, field]) =>
      Effect.sync(() => {
        read(body([json]))
        read(body([[0, "a"]], (head) => (head[field] = json)))
        read(JSON.stringify(json))
      }),
    { arbitrary: { runs: 1000 } }
  )
})
