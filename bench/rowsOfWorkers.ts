/** Workers that share a store, and stores that share a disk. */
import { Effect } from "effect"
import { figuresOf } from "./processes.ts"
import { done, type Setting } from "./row.ts"

const goalOfWorkers =
  "a look <= 3 ms of Redis beside 100,000 runs of any kind; idle <= 2 commands/s; freed run taken elsewhere <= 100 ms; " +
  "short runs >= 1,500/s in one process"

export const workers = Effect.fnUntraced(function* (setting: Setting) {
  const { env, noRedis, quick, rounds } = setting
  const beside = quick ? 2000 : 100_000
  const looks = (name: string, kind: string, runs = beside) => ({
    name,
    absent: noRedis,
    measure: figuresOf("looks", { args: [kind, runs, 20], env })
  })
  const count = beside.toLocaleString("en")
  const look = yield* done(
    "workers, look",
    {
      title: "workers: what a look for runs takes of Redis, a claim in each of 16 shards (less is better)"
    },
    [
      { head: "ms of Redis a look", figure: "look", digits: 3 },
      { head: "ms a claim", figure: "claim", digits: 4 }
    ],
    [
      looks("an empty store", "other", 0),
      looks(`${count} runs of other agents`, "other"),
      looks(`${count} of the agent, leased`, "leased"),
      looks(`${count} of the agent, finished`, "finished"),
      looks(`${count} of the agent, due in an hour`, "later")
    ],
    rounds
  )
  const idle = yield* done(
    "workers, idle",
    { title: "workers: what one with nothing to do asks of Redis (less is better)" },
    [
      { head: "commands/s", figure: "sent", digits: 1 },
      { head: "with those in scripts/s", figure: "all", digits: 1 }
    ],
    [
      {
        name: "Baton, Redis",
        absent: noRedis,
        measure: figuresOf("idle", { args: quick ? [2, 1] : [15, 5], env })
      }
    ],
    rounds
  )
  const times = quick ? 3 : 20
  const freed = yield* done(
    "workers, freed",
    { title: `workers: from a release to the handle in another process, ${times} times (less is better)` },
    [
      { head: "p50 ms", figure: "p50", digits: 1 },
      { head: "max ms", figure: "max", digits: 1 }
    ],
    [{ name: "Baton, Redis", absent: noRedis, measure: figuresOf("freed", { args: [times], env }) }],
    rounds
  )
  const [runs, warmUp] = quick ? [100, 20] : [3000, 300]
  const short = yield* done(
    "workers, short",
    {
      title: `workers: ${runs.toLocaleString("en")} short runs in one process, 128 at once (more is better)`,
      goal: goalOfWorkers
    },
    [
      { head: "runs/s", figure: "rate", digits: 0 },
      { head: "x memory", figure: "rate", over: "Baton, memory", digits: 2 },
      { head: "CPU ms/run", figure: "cpu", digits: 2 }
    ],
    [
      { name: "Baton, memory", kind: "memory", absent: undefined },
      { name: "Baton, Redis", kind: "redis", absent: noRedis }
    ].map(({ absent, kind, name }) => ({
      name,
      absent,
      measure: figuresOf("short", { args: [kind, runs, warmUp], env })
    })),
    rounds
  )
  const all = [look, idle, freed, short]
  return { text: all.map(({ text }) => text).join("\n"), failed: all.some(({ failed }) => failed) }
})

export const files = (setting: Setting) =>
  done(
    "files",
    {
      title: "files: durable commits of positions per second, to one file (more is better)",
      goal: "Baton >= 0.8 x the bare group commit"
    },
    [
      { head: "64 at once/s", figure: "many", digits: 0 },
      { head: "x group commit", figure: "many", over: "group commit", digits: 2 },
      { head: "x append + sync", figure: "many", over: "append + sync each", digits: 1 },
      { head: "serial/s", figure: "serial", digits: 0 },
      { head: "x group commit", figure: "serial", over: "group commit", digits: 2 }
    ],
    [
      { name: "append + sync each", program: "each" },
      { name: "group commit", program: "group" },
      { name: "Baton, file", program: "store" }
    ].map(({ name, program }) => ({
      name,
      measure: figuresOf("files", { args: [program, setting.quick ? 200 : 2000], env: setting.env })
    })),
    setting.rounds
  )
