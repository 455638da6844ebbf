/** Many runs in a process, runs that go on, and the store they share. */
import { figuresOf } from "./processes.ts"
import { absentIn, done, readers, type Setting } from "./row.ts"

const pacedRuns = (
  row: string,
  goal: string,
  [runs, perSecond, seconds]: readonly [runs: number, perSecond: number, seconds: number],
  setting: Setting
) =>
  done(
    row,
    {
      title:
        `${row}: ${runs.toLocaleString("en")} runs in one process, ${perSecond} updates/s each, for ${seconds} s ` +
        "(less is better; openai is that of the same variant)",
      goal
    },
    [
      { head: "RSS KB/run", figure: "rss", digits: 0 },
      { head: "x openai", figure: "rss", over: "openai", digits: 2 },
      { head: "heap KB/run", figure: "heap", digits: 0 },
      { head: "x openai", figure: "heap", over: "openai", digits: 2 },
      { head: "lag p50 ms", figure: "p50", digits: 1 },
      { head: "p99 ms", figure: "p99", digits: 1 },
      { head: "x openai", figure: "p99", over: "openai", digits: 2 },
      { head: "CPU %", figure: "cpu", digits: 0 },
      { head: "x openai", figure: "cpu", over: "openai", digits: 2 },
      { head: "opening ms/run", figure: "opening", digits: 2 }
    ],
    [undefined, "semi-space 8 MB"].flatMap((variant) =>
      readers("fetch", "openai", "memory", "file", "redis").map(({ name, subject }) => ({
        name,
        variant,
        absent: absentIn(setting, subject),
        measure: figuresOf("paced", {
          args: [subject, runs, perSecond, seconds],
          flags: ["--expose-gc", ...(variant === undefined ? [] : ["--max-semi-space-size=8"])],
          env: setting.env
        })
      }))
    ),
    setting.rounds
  )

export const paced = (setting: Setting) =>
  pacedRuns(
    "paced",
    "Baton: heap <= 58 KB; RSS <= 1.05 x openai, <= 0.9 x with the small semi-space; p99 <= 1 x; CPU <= 1.2 x; opening <= 1.2 ms",
    setting.quick ? [100, 10, 0.3] : [1000, 10, 5],
    setting
  )

export const paced5000 = (setting: Setting) =>
  pacedRuns(
    "paced5000",
    "Baton: as of 1,000 runs with the small semi-space; without it p99 <= 1.25 x openai, RSS <= 1.15 x; no failure",
    setting.quick ? [200, 1, 1] : [5000, 1, 10],
    setting
  )

export const resume = (setting: Setting) => {
  const [times, warmUp] = setting.quick ? [20, 5] : [300, 60]
  const subject = (name: string, program: string, kind: string, variant?: string) => ({
    name,
    variant,
    absent: absentIn(setting, kind),
    measure: figuresOf("resume", { args: [program, kind, times, warmUp], env: setting.env })
  })
  return done(
    "resume",
    {
      title: `resume: from the call to the first update, median of ${times} in one process (less is better)`,
      goal: "Baton <= 1.3 x limit"
    },
    [
      { head: "ms", figure: "ms", digits: 2 },
      { head: "x limit", figure: "ms", over: "fetch and one read of the store", digits: 2 },
      { head: "p90 ms", figure: "p90", digits: 2 },
      { head: "CPU ms", figure: "cpu", digits: 2 }
    ],
    [
      subject("openai, no store", "openai", "memory"),
      ...[
        { kind: "memory", variant: "memory" },
        { kind: "redis", variant: "Redis" }
      ].flatMap(({ kind, variant }) => [
        subject("fetch and one read of the store", "limit", kind, variant),
        subject("Baton", "baton", kind, variant)
      ])
    ],
    setting.rounds
  )
}

export const redis = (setting: Setting) =>
  done(
    "redis",
    {
      title: "redis: commits of positions per second, on one connection (more is better)",
      goal: "Baton >= 0.85 x EVALSHA at 64 at once, >= 0.8 x serial, >= 1 x with the client's timer on"
    },
    [
      { head: "64 at once/s", figure: "many", digits: 0 },
      { head: "x EVALSHA", figure: "many", over: "EVALSHA", digits: 2 },
      { head: "x timer on", figure: "many", over: "EVALSHA, client's timer on", digits: 2 },
      { head: "serial/s", figure: "serial", digits: 0 },
      { head: "x EVALSHA", figure: "serial", over: "EVALSHA", digits: 2 },
      { head: "x timer on", figure: "serial", over: "EVALSHA, client's timer on", digits: 2 }
    ],
    [
      { name: "EVALSHA", program: "bare" },
      { name: "EVALSHA, client's timer on", program: "timer" },
      { name: "Baton", program: "store" },
      { name: "Baton, over the client itself", program: "client" }
    ].map(({ name, program }) => ({
      name,
      absent: setting.noRedis,
      measure: figuresOf("commits", { args: [program, setting.quick ? 200 : 2000], env: setting.env })
    })),
    setting.rounds
  )
