/** One process reads a stream, another one follows it. */
import { Effect } from "effect"
import { figuresOf } from "./processes.ts"
import { done, type Setting } from "./row.ts"

const baton = "Baton"
const peer = "resumable-stream, a text for each event"

const subjects = [
  { name: baton, subject: "baton" },
  { name: peer, subject: "events" },
  { name: "resumable-stream, a text for each read", subject: "reads" }
] as const

// At a twentieth of the speed, a twentieth takes as long. Redis disconnects a subscriber that is 32 MB behind, as the viewer
// of full reads is after more than a third.
const parts = { baton: 1, events: 20, reads: 3 }

const flatOut = (setting: Setting) =>
  done(
    "relay",
    {
      title: "relay: from one process to another through Redis, without pauses (deltas/s: more is better)",
      goal: ">= 20 x resumable-stream"
    },
    [
      { head: "deltas/s", figure: "rate", digits: 0 },
      { head: "x resumable-stream", figure: "rate", over: peer, digits: 1 },
      { head: "writer CPU us/delta", figure: "writer", digits: 2 },
      { head: "viewer CPU us/delta", figure: "cpu", digits: 2 }
    ],
    [
      { kind: "tight", variant: "one event for each write of the socket", deltas: 600_000 },
      { kind: "flat", variant: "full reads", deltas: 600_000 }
    ].flatMap(({ deltas, kind, variant }) =>
      subjects.map(({ name, subject }) => {
        const share = deltas / parts[subject] / (setting.quick ? 20 : 1)
        return {
          name,
          variant,
          absent: setting.noRedis,
          measure: figuresOf("relay", { args: [subject, kind, share, share / 5], env: setting.env })
        }
      })
    ),
    setting.rounds
  )

const lag = (setting: Setting) =>
  done(
    "relay",
    {
      title: "relay: how long after the server sent a delta the viewer has it, 100 deltas a second (less is better)",
      goal: "p99 <= 100 ms"
    },
    [
      { head: "p50 ms", figure: "p50", digits: 1 },
      { head: "p99 ms", figure: "p99", digits: 1 }
    ],
    subjects.slice(0, 2).map(({ name, subject }) => ({
      name,
      absent: setting.noRedis,
      measure: figuresOf("relay", { args: [subject, "paced", 100, setting.quick ? 1 : 5], env: setting.env })
    })),
    setting.rounds
  )

const size = (setting: Setting) =>
  done(
    "relay",
    {
      title: "relay: the size of the log of a text, 100 deltas a second (less is better)",
      goal: "<= 150 bytes an update, positions included"
    },
    [
      { head: "bytes/update", figure: "bytes", digits: 0 },
      { head: "updates", figure: "updates", digits: 0 },
      { head: "bytes", figure: "all", digits: 0 }
    ],
    ["redis", "file"].map((storage) => ({
      name: storage === "redis" ? "Redis: MEMORY USAGE of its keys" : "file: on the disk",
      absent: storage === "redis" ? setting.noRedis : undefined,
      measure: figuresOf("relaySize", { args: [storage], env: setting.env })
    })),
    1
  )

export const relay = Effect.fnUntraced(function* (setting: Setting) {
  const tables = yield* Effect.forEach([flatOut, lag, size], (table) => table(setting))
  return { text: tables.map(({ text }) => text).join("\n"), failed: tables.some(({ failed }) => failed) }
})
