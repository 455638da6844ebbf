// Continuation tokens as positions of viewers: signed, and of this run.
import { Agent, ContinuationToken, SignedTokens } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { ask, analyst, engine, keyOf, quiet, serving } from "./served.ts"
import { textOf, watch } from "./watching.ts"

const { completed, text } = ScriptedModel

const says = (runId: string, agent: Agent.Agent = analyst) =>
  Stream.runCollect(Agent.stream(agent, { input: "x", runId, labels: { owner: "alice" } }))

/** The token of the first text of a run. */
const tokenOf = Effect.fnUntraced(function* (runId: string, agent?: Agent.Agent) {
  const updates = yield* says(runId, agent)
  const first = updates.find((update) => update.text !== "")
  return Option.getOrThrow(Option.flatMap(Option.fromUndefinedOr(first), (update) => update.continuationToken))
})

const script = [text("secret one, "), text("secret two"), completed]

describe("a token", () => {
  it.live("is a position of its run, and no credential", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const token = yield* ContinuationToken.encode(yield* tokenOf("r"))
      const query = `token=${encodeURIComponent(token)}`
      const { heard, status } = yield* watch(url, "r", { query })
      assert.strictEqual(status, 200)
      assert.strictEqual(textOf(heard), "secret two")
      const bare = yield* ask(`${url}/api/runs/r/updates?${query}`)
      assert.strictEqual(bare.status, 401)
      const theirs = yield* watch(url, "r", { query, as: "bob" })
      assert.strictEqual(theirs.status, 404)
      assert.strictEqual((yield* watch(url, "r", { query, as: "guest" })).status, 403)
      for (const { body } of [bare, { body: theirs.text }]) assert.notMatch(body, /secret/)
    }).pipe(Effect.scoped, Effect.provide(engine(script)))
  )

  it.live("of another run, or forged, expired, unsigned or outdated, is refused before the first byte", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const token = yield* tokenOf("r")
      const other = yield* tokenOf("other")
      const ofQuiet = yield* tokenOf("q", quiet)
      const good = yield* ContinuationToken.encode(token)
      const signedWith = (options: SignedTokens.Options) =>
        ContinuationToken.encode(token).pipe(Effect.provide(SignedTokens.layer(options)), Effect.orDie)
      const middle = Math.floor(good.length / 2)
      const before = yield* tokenOf("again")
      yield* Agent.remove(analyst, { runId: "again" })
      yield* says("again")
      const cases: ReadonlyArray<readonly [string, string, string, string?]> = [
        ["other-run", "r", yield* ContinuationToken.encode(other)],
        ["other-run", "r", yield* ContinuationToken.encode(ofQuiet)],
        ["signature", "r", `${good.slice(0, middle)}${good[middle] === "A" ? "B" : "A"}${good.slice(middle + 1)}`],
        ["signature", "r", good.slice(0, -4)],
        ["signature", "r", yield* signedWith({ keys: [keyOf("2")] })],
        ["signature", "r", yield* signedWith({ keys: [{ id: "1", secret: keyOf("2").secret }] })],
        ["signature", "r", yield* signedWith({ keys: [keyOf("1")], audience: "another" })],
        [
          "expired",
          "r",
          // Signed in 1970, for an hour.
          yield* signedWith({ keys: [keyOf("1")], expiresAfter: "1 hour" }).pipe(Effect.provide(TestClock.layer()))
        ],
        [
          "signature",
          "r",
          yield* ContinuationToken.encode(token).pipe(
            Effect.provide(Layer.succeed(ContinuationToken.TokenCodec, ContinuationToken.TokenCodec.defaultValue()))
          )
        ],
        ["outdated", "again", yield* ContinuationToken.encode(before)],
        ["empty", "r", ""]
      ]
      for (const [kind, runId, given] of cases) {
        const answer = yield* watch(url, runId, { query: `token=${encodeURIComponent(given)}` })
        assert.strictEqual(answer.status, 400, kind)
        assert.strictEqual(answer.headers.get("content-type"), "application/problem+json")
        assert.strictEqual(JSON.parse(answer.text).kind, kind)
        assert.notMatch(answer.text, /secret|other"|resp_/)
      }
    }).pipe(Effect.scoped, Effect.provide(engine(script)))
  )
})
