// Updates as events: cut anywhere, resumed by id, ended once. Over real sockets.
import { Agent, Run, UpdateLog } from "@effect-baton/core"
import { ScriptedModel } from "@effect-baton/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { spawn } from "node:child_process"
import { analyst, engine, quiet, serving } from "./served.ts"
import { blocksOf, lastIdOf, named, textOf, updatesOf, watch } from "./watching.ts"

const { completed, failed, pause, text } = ScriptedModel

const words = Array.from({ length: 30 }, (_, i) => `word ${i}\n`)
/** Thirty words, in pieces that lie in several chunks. */
const report = [...words.flatMap((word, i) => [text(word), ...(i % 7 === 6 ? [pause("60 millis")] : [])]), completed]

/** Follows a run of alice's to its end, as a worker does. */
const follow = (runId: string, agent: Agent.Agent = analyst) =>
  Effect.exit(Stream.runDrain(Agent.stream(agent, { input: "x", runId, labels: { owner: "alice" } })))

describe("updates", () => {
  it.live("come with ids and headers, and end with an event; then there is nothing more", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* follow("r")
      const { headers, heard, status, text: body } = yield* watch(url, "r")
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("content-type"), "text/event-stream")
      assert.strictEqual(headers.get("cache-control"), "no-store")
      assert.strictEqual(headers.get("x-accel-buffering"), "no")
      assert.strictEqual(textOf(heard), words.join(""))
      const updates = updatesOf(heard)
      assert.deepStrictEqual(
        updates.map(({ id = "" }) => Number(id.split(".")[0])),
        updates.map((_, i) => i + 1)
      )
      assert.deepEqual<unknown>(heard.at(-1), { event: "end", data: { status: "completed" } })
      assert.lengthOf(named(heard, "end"), 1)
      assert.isString(updates.at(-1)?.data?.session)
      assert.notMatch(body, /resp_|"raw"|item_/, "nothing of the provider")

      const after = yield* watch(url, "r", { lastEventId: lastIdOf(heard) })
      assert.strictEqual(after.status, 204)
      assert.strictEqual(after.text, "")
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("the first k, and those after the id of the k-th, are the whole, for every k", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const following = yield* Effect.forkChild(follow("r"))
      const live = yield* watch(url, "r")
      yield* Fiber.join(following)
      const whole = updatesOf(live.heard)
      assert.strictEqual(textOf(live.heard), words.join(""))
      for (let k = 1; k < whole.length; k++) {
        const ways = [
          { lastEventId: whole[k - 1]!.id },
          { query: `after=${whole[k - 1]!.id}` },
          // As an EventSource comes back to the URL that it was made with.
          { query: `after=${whole[0]!.id}`, lastEventId: whole[k - 1]!.id }
        ]
        const { heard } = yield* watch(url, "r", ways[k % 3]!)
        assert.deepStrictEqual([...whole.slice(0, k), ...updatesOf(heard)], whole)
        assert.strictEqual(heard.at(-1)?.event, "end")
      }
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("a viewer that is cut off again and again, while the run goes on, sees each update once", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const following = yield* Effect.forkChild(follow("r"))
      const seen: Array<unknown> = []
      let lastEventId: string | undefined
      for (let cut = 1; ; cut++) {
        const { heard, status } = yield* watch(url, "r", {
          lastEventId,
          until: (now) => updatesOf(now).length >= (cut % 5) + 1
        })
        assert.strictEqual(status, 200)
        seen.push(...updatesOf(heard))
        lastEventId = lastIdOf(heard) ?? lastEventId
        if (
          named(heard, "end").length > 0 ||
          (yield* watch(url, "r", { lastEventId, until: () => true })).status === 204
        ) {
          break
        }
      }
      yield* Fiber.join(following)
      assert.deepStrictEqual(seen, [...updatesOf((yield* watch(url, "r")).heard)])
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("a viewer comes before the run is opened, and waits", () =>
    Effect.gen(function* () {
      const url = yield* serving({ heartbeat: "20 millis" })
      yield* Agent.enqueue(analyst, { input: "x", runId: "r", labels: { owner: "alice" } })
      let beats = 0
      const viewer = yield* Effect.forkChild(
        watch(url, "r", { onHeard: (now) => void (beats = now.filter(({ comment }) => comment).length) })
      )
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => beats > 3 })
      yield* Stream.runDrain(Agent.resume(analyst, { runId: "r" }))
      const { heard } = yield* Fiber.join(viewer)
      assert.strictEqual(textOf(heard), words.join(""))
      assert.strictEqual(heard.at(-1)?.event, "end")
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("a failed run ends with a problem that says nothing of the provider", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* follow("r")
      const { heard, text: body } = yield* watch(url, "r")
      assert.strictEqual(textOf(heard), "a")
      const { data, event } = heard.at(-1)!
      assert.strictEqual(event, "end")
      assert.strictEqual(data?.status, "failed")
      assert.match(data?.problem?.type ?? "", /#run-failed$/)
      assert.notMatch(body, /secret/)
      assert.strictEqual((yield* watch(url, "r", { lastEventId: lastIdOf(heard) })).status, 204)
    }).pipe(Effect.scoped, Effect.provide(engine([text("a"), failed("a secret of the provider")])))
  )

  it.live("an id that the log does not have, or has of another epoch, is answered with a reset and the whole", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* follow("r")
      const whole = (yield* watch(url, "r")).heard
      const [offset, epoch] = updatesOf(whole)[9]!.id!.split(".").map(Number)
      for (const id of [`${offset}.${epoch! + 1}`, `${offset! + 1000}.${epoch}`]) {
        const { heard, status } = yield* watch(url, "r", { lastEventId: id })
        assert.strictEqual(status, 200)
        assert.deepEqual<unknown>(heard[0], { event: "reset", id: "", data: {} })
        assert.deepStrictEqual(heard.slice(1), whole.slice(1))
      }
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("a log that is lost and written again, while it is watched, is a reset and the whole", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      const log = yield* UpdateLog.UpdateLog
      const following = yield* Effect.forkChild(follow("r"))
      let isLost = false
      const viewer = yield* Effect.forkChild(
        watch(url, "r", {
          onHeard: (now) => {
            if (isLost || updatesOf(now).length < 10) return
            isLost = true
            Effect.runSync(log.remove(Run.RunId.make("r")))
          }
        })
      )
      yield* Fiber.join(following)
      const { heard } = yield* Fiber.join(viewer)
      const at = heard.findIndex(({ event }) => event === "reset")
      assert.isAbove(at, 0)
      assert.lengthOf(named(heard, "reset"), 1)
      assert.strictEqual(textOf(heard.slice(at)), words.join(""))
      assert.strictEqual(heard.at(-1)?.event, "end")
      assert.deepStrictEqual(updatesOf((yield* watch(url, "r")).heard), updatesOf(heard.slice(at)))
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("what cannot be is refused before the first byte", () =>
    Effect.gen(function* () {
      const url = yield* serving()
      yield* follow("r")
      yield* follow("quiet", quiet)
      for (const id of ["1", "a.b", "-1.1", "1.1.1", "01.1", "1.1 ", "1e3.1", "9".repeat(40)]) {
        const { status, text: body } = yield* watch(url, "r", { lastEventId: id })
        if (id.trim() === "1.1") continue
        assert.strictEqual(status, 400, id)
        assert.match(body, /#invalid-request/)
      }
      assert.strictEqual((yield* watch(url, "r", { query: "after=x" })).status, 400)
      assert.strictEqual((yield* watch(url, "r", { query: "after=1.1&token=x" })).status, 400)
      const unlogged = yield* watch(url, "quiet")
      assert.strictEqual(unlogged.status, 409)
      assert.match(unlogged.text, /#run-not-logged/)

      // The epochs of a Redis server are as long.
      const other = yield* watch(url, "r", { lastEventId: "1.1795866767309123" })
      assert.strictEqual(other.status, 200)
      assert.strictEqual(other.heard[0]?.event, "reset")

      const whole = updatesOf((yield* watch(url, "r")).heard)
      const log = yield* UpdateLog.UpdateLog
      yield* log.truncate(Run.RunId.make("r"), 20)
      const gone = yield* watch(url, "r")
      assert.strictEqual(gone.status, 410)
      const { first, type } = JSON.parse(gone.text)
      assert.match(type, /#run-truncated$/)
      assert.strictEqual((yield* watch(url, "r", { lastEventId: whole[2]!.id })).status, 410)
      assert.strictEqual((yield* watch(url, "r", { lastEventId: `30.999` })).status, 410, "no reset without a start")
      const rest = yield* watch(url, "r", { query: `after=${first}` })
      assert.deepStrictEqual(updatesOf(rest.heard), whole.slice(first))
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )

  it.live("curl -N shows them, and goes on where it was stopped", (context) =>
    Effect.gen(function* () {
      const url = yield* serving()
      const following = yield* Effect.forkChild(follow("r"))
      const curl = (args: ReadonlyArray<string>, enough: (output: string) => boolean) =>
        Effect.callback<string | undefined>((resume) => {
          const child = spawn("curl", [
            "-sN",
            "-H",
            "authorization: Bearer alice",
            ...args,
            `${url}/api/runs/r/updates`
          ])
          let output = ""
          child.stdout.setEncoding("utf8").on("data", (piece: string) => {
            output += piece
            if (enough(output)) child.kill("SIGINT")
          })
          child.on("error", () => resume(Effect.succeed(undefined)))
          child.on("close", () => resume(Effect.succeed(output)))
        })
      const first = yield* curl([], (output) => updatesOf(blocksOf(output)).length >= 5)
      if (first === undefined) return context.skip("there is no curl")
      const seen = updatesOf(blocksOf(first))
      const rest = yield* curl(["-H", `last-event-id: ${seen.at(-1)!.id}`], () => false)
      yield* Fiber.join(following)
      const heard = blocksOf(rest ?? "")
      assert.strictEqual(textOf(seen) + textOf(heard), words.join(""))
      assert.strictEqual(heard.at(-1)?.event, "end")
    }).pipe(Effect.scoped, Effect.provide(engine(report)))
  )
})
