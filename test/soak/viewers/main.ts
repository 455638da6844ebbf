// Many viewers on one run, over two servers, one of which is killed: pnpm soak viewers --viewers 1000
import { ResponsesServer, RedisServer } from "@effect-baton/sandbox"
import { Console, Data, Effect, FileSystem, Stream } from "effect"
import { ChildProcess } from "effect/process"
import { existsSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { chance } from "../random.ts"
import { counted } from "./provider.ts"
import { Viewer } from "./viewer.ts"

const program = fileURLToPath(new URL("server.program.ts", import.meta.url))
const runId = "watched"

class ViewersFailed extends Data.TaggedError("ViewersFailed")<{ readonly message: string }> {}

export interface Options {
  readonly viewers: number
  readonly seconds: number
  readonly pace: number
  readonly kill: boolean
  readonly seed: string
}

const launch = Effect.fnUntraced(function* (env: Record<string, string>) {
  const child = yield* ChildProcess.make(process.execPath, [program], { env, extendEnv: true, stderr: "inherit" })
  const line = yield* child.stdout.pipe(Stream.decodeText, Stream.splitLines, Stream.runHead)
  return { child, url: yield* Effect.fromOption(line) }
})

/** When the append of each update was answered, by any server. */
const appendsIn = (files: ReadonlyArray<string>): ReadonlyArray<number> => {
  const times: Array<number> = []
  for (const file of files.filter((name) => existsSync(name))) {
    for (const line of readFileSync(file, "utf8").split("\n").slice(0, -1)) {
      const [from = 0, count = 0, at = 0] = line.split(" ").map(Number)
      for (let i = from; i < from + count; i++) times[i] = Math.min(times[i] ?? Infinity, at)
    }
  }
  return times
}

const quantile = (sorted: ReadonlyArray<number>, q: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN

export const viewers = Effect.fnUntraced(function* ({ kill, pace, seconds, seed, viewers: count }: Options) {
  const of = chance(seed)
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "baton-viewers-" })
  const sandbox = yield* ResponsesServer.ResponsesServer
  const provider = yield* counted(sandbox.url)
  const redis = yield* RedisServer.start()
  const updates = Math.ceil((seconds * 1000) / pace)
  const files = ["a", "b"].map((name) => `${directory}/appends-${name}`)
  const servers = yield* Effect.forEach(files, (file) =>
    launch({
      VIEWERS_REDIS: redis.url,
      VIEWERS_PROVIDER: provider.url,
      VIEWERS_MODEL: `lorem:${updates}`,
      VIEWERS_APPENDS: file
    })
  )
  yield* sandbox.setPace(`${pace} millis`)
  const alive = servers.map(({ url }) => url)
  const anyServer = () => alive[Math.floor(Math.random() * alive.length)]!
  const started = yield* Effect.promise(() =>
    fetch(`${alive[0]}/api/runs`, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": runId },
      body: JSON.stringify({ agent: "writer", input: "Write." })
    })
  )
  if (started.status !== 201) return yield* new ViewersFailed({ message: `the run was not started: ${started.status}` })
  yield* Console.log(`viewers: ${count} of one run of about ${seconds} s, ${updates} texts, two servers, seed ${seed}`)

  const all = Array.from({ length: count }, () => new Viewer(runId, anyServer))
  yield* Effect.addFinalizer(() => Effect.sync(() => all.forEach((viewer) => viewer.leave())))
  // The last of them come shortly before the end.
  for (const viewer of all) {
    const timer = setTimeout(() => viewer.connect(), of.between(0, seconds * 900))
    yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(timer)))
  }
  let killed = "no server"
  if (kill) {
    yield* Effect.sleep(seconds * 500)
    // The one that writes.
    const lines = files.map((file) => (existsSync(file) ? readFileSync(file, "utf8").length : 0))
    const victim = lines[0]! > lines[1]! ? 0 : 1
    alive.splice(0, 2, servers[1 - victim]!.url)
    yield* servers[victim]!.child.kill({ killSignal: "SIGKILL" })
    killed = "the server that writes"
  }
  const over = yield* Effect.promise(() => Promise.all(all.map(({ done }) => done))).pipe(
    Effect.timeoutOption(seconds * 1000 + 60_000)
  )
  const { responses } = yield* sandbox.ledger
  const said = responses[0]?.outputText ?? ""
  const appends = appendsIn(files)
  const lags: Array<number> = []
  for (const { cameAt, openSince } of all) {
    for (const [i, at] of cameAt.entries()) {
      // Updates from before the connection are caught up with, as fast as it goes.
      if (appends[i] !== undefined && appends[i] > openSince[i]!) lags.push(Math.max(0, at - appends[i]))
    }
  }
  const sorted = lags.toSorted((a, b) => a - b)
  const troubles = all.flatMap((viewer, i) => viewer.troubles.map(({ kind, why }) => `viewer ${i}: ${kind} ${why}`))
  const partial = all.filter(({ text }) => text !== said).length
  const short = all.filter(({ cameAt }) => cameAt.length !== appends.length).length
  const p99 = quantile(sorted, 0.99)
  const row = (name: string, value: number | string) => Console.log(`${name.padEnd(44)} ${String(value).padStart(10)}`)
  yield* row("updates in the log", appends.length)
  yield* row(
    "updates that viewers got",
    all.reduce((sum, { cameAt }) => sum + cameAt.length, 0)
  )
  yield* row("of these live", sorted.length)
  yield* row(
    "connections of viewers",
    all.reduce((sum, { connections }) => sum + connections, 0)
  )
  yield* row("killed", killed)
  yield* row("responses bought", responses.length)
  yield* row("attachments to the provider", provider.all())
  yield* row("attachments at once, at most", provider.most())
  yield* row("viewers without every offset", short)
  yield* row("viewers with another text", partial)
  yield* row("gaps, repeats, resets, refusals", troubles.length)
  yield* row("behind the writer, p50 (ms)", quantile(sorted, 0.5).toFixed(0))
  yield* row("behind the writer, p99 (ms)", p99.toFixed(0))
  yield* row("behind the writer, the most (ms)", quantile(sorted, 1).toFixed(0))
  for (const line of troubles.slice(0, 10)) yield* Console.log(`! ${line}`)
  const bad = [
    ...(over._tag === "None" ? [`${all.filter(({ status }) => status === "").length} viewers saw no end`] : []),
    ...(short > 0 ? [`${short} viewers missed updates`] : []),
    ...(partial > 0 || said === "" ? [`${partial} viewers got another text`] : []),
    ...(troubles.length > 0 ? [`${troubles.length} gaps, repeats, resets or refusals`] : []),
    ...(responses.length === 1 ? [] : [`${responses.length} responses were bought`]),
    ...(provider.most() === 1 ? [] : [`${provider.most()} attachments at once`]),
    ...(p99 <= 100 ? [] : [`the p99 is ${p99.toFixed(0)} ms`])
  ]
  if (bad.length > 0) return yield* new ViewersFailed({ message: bad.join("; ") })
  yield* Console.log(`viewers: ok, ${count} viewers, p99 ${p99.toFixed(0)} ms behind the writer`)
}, Effect.scoped)
