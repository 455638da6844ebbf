import { type ResponseScript, SandboxTrouble } from "@effect-baton/sandbox"
import { type Chance, chance } from "./random.ts"

type Trouble = SandboxTrouble.Trouble

/** What a run's response meets at the server, and what its consumer does besides reading. */
interface Scenario {
  readonly troubles: ReadonlyArray<Trouble>
  /** When it is cancelled: while it goes on, or once it is over. */
  readonly cancel?: "early" | "late"
  /** Whether its opening request leaves open if anything was bought. */
  readonly unconfirmed?: true
  /** Whether the server forgets its response before its end. */
  readonly expires?: true
  /** Whether its replays come out of order, so that it may end as `RunDiverged`. */
  readonly disordered?: true
}

/** Everything about a run that its seed decides. */
export interface Plan extends Scenario {
  readonly words: number
  /** Whether its updates are kept in the log. */
  readonly logged: boolean
  readonly thoughts: number
}

// Events before these are the response's name: without it a run is `Unconfirmed`, which other scenarios are about.
const somewhere = (of: Chance) => of.between(6, 60)

const cut = (of: Chance, times: number): Trouble => {
  const after = somewhere(of)
  switch (of.between(0, 2)) {
    case 0:
      return { _tag: "EndEarly", after, times }
    case 1:
      return { _tag: "HalfEvent", after, times }
    default:
      return { _tag: "Reset", after, times }
  }
}

const scenarios: ReadonlyArray<(of: Chance) => Scenario> = [
  () => ({ troubles: [] }),
  (of) => ({ troubles: [{ _tag: "EndEarly", after: somewhere(of), times: 3 }] }),
  (of) => ({ troubles: [{ _tag: "HalfEvent", after: somewhere(of), times: 3 }] }),
  (of) => ({ troubles: [{ _tag: "Reset", after: somewhere(of), times: 3 }] }),
  (of) => ({ troubles: [{ _tag: "Stall", after: somewhere(of), times: 1 }] }),
  (of) => ({ troubles: [{ _tag: "SplitBytes", every: of.between(1, 9) }] }),
  (of) => ({ troubles: [{ _tag: "Crlf" }, cut(of, 2)] }),
  () => ({ troubles: [{ _tag: "NoFinalBlankLine" }] }),
  (of) => ({ troubles: [{ _tag: "DuplicateReplay", back: of.between(1, 12) }, cut(of, 3)] }),
  (of) => ({ troubles: [{ _tag: "OutOfOrderReplay" }, cut(of, 3)], disordered: true }),
  (of) => ({
    troubles: [{ _tag: "OutOfOrderReplay" }, { _tag: "DuplicateReplay", back: of.between(1, 12) }, cut(of, 2)],
    disordered: true
  }),
  (of) => ({ troubles: [{ _tag: "Keepalives", before: 2, every: of.between(2, 9) }, cut(of, 2)] }),
  (of) => ({ troubles: [{ _tag: "UnknownEvents", every: of.between(2, 9) }, cut(of, 2)] }),
  (of) => ({ troubles: [{ _tag: "RefuseReplay" }, { _tag: "PollAfter", millis: 150 }, cut(of, 1)] }),
  (of) => ({ troubles: [{ _tag: "RefuseReplay", afterMillis: of.between(500, 3000) }, cut(of, 3)] }),
  (of) => ({ troubles: [SandboxTrouble.serverErrors(3, { on: "resume", status: 500 }), cut(of, 2)] }),
  (of) => ({
    troubles: [SandboxTrouble.serverErrors(2, { on: "retrieve" }), { _tag: "RefuseReplay" }, cut(of, 1)]
  }),
  (of) => ({ troubles: [SandboxTrouble.rateLimited({ on: "resume", retryAfter: 0.4, times: 2 }), cut(of, 2)] }),
  (of) => ({ troubles: [{ _tag: "DropBeforeHeaders", on: "resume", times: 2 }, cut(of, 2)] }),
  () => ({ troubles: [{ _tag: "DropBeforeHeaders", on: "create", times: 1 }], unconfirmed: true }),
  () => ({ troubles: [SandboxTrouble.serverErrors(1, { on: "create", status: 502 })], unconfirmed: true }),
  (of) => ({ troubles: [{ _tag: "End", status: "failed", after: somewhere(of) }, cut(of, 1)] }),
  (of) => ({ troubles: [{ _tag: "End", status: "incomplete", after: somewhere(of) }, cut(of, 1)] }),
  (of) => ({ troubles: [{ _tag: "End", status: "cancelled", after: somewhere(of), event: true }] }),
  (of) => ({ troubles: [{ _tag: "End", status: "cancelled", after: somewhere(of) }] }),
  (of) => ({ troubles: [{ _tag: "ErrorEvent", form: "nested", after: somewhere(of) }] }),
  (of) => ({ troubles: [{ _tag: "ErrorEvent", form: "flat", after: somewhere(of), thenFailed: false }] }),
  (of) => ({ troubles: [{ _tag: "QueueTime", millis: of.between(100, 1500) }, cut(of, 2)] }),
  () => ({ troubles: [{ _tag: "StuckQueued" }, { _tag: "CancelEvent" }], cancel: "early" }),
  () => ({ troubles: [{ _tag: "CancelEvent" }], cancel: "early" }),
  (of) => ({ troubles: [cut(of, 1)], cancel: "early" }),
  (of) => ({ troubles: [{ _tag: "IgnoreCancel" }, cut(of, 1)], cancel: "early" }),
  () => ({ troubles: [{ _tag: "IgnoreCancel" }, { _tag: "QueueTime", millis: 3000 }], cancel: "early" }),
  (of) => ({ troubles: [{ _tag: "RefuseCancelFinished" }, cut(of, 2)], cancel: "late" }),
  (of) => ({
    troubles: [{ _tag: "Expired", afterMillis: of.between(300, 1200) }, cut(of, 2)],
    expires: true
  })
]

/** What the whole server has at times: a request that opens a response is refused, and comes again. */
export const refusals: ReadonlyArray<Trouble> = [
  SandboxTrouble.rateLimited({ on: "create", retryAfter: 0.3, times: 3 }),
  SandboxTrouble.serverErrors(2, { on: "create" }),
  SandboxTrouble.serverErrors(2, { on: "cancel" })
]

/** The kinds of trouble that a server can have: each must have struck. */
export const kinds: ReadonlyArray<string> = [
  ...new Set(scenarios.flatMap((scenario) => scenario(chance(0)).troubles.map(({ _tag }) => _tag))),
  "EndEarly",
  "HalfEvent",
  "Reset",
  "Pace"
].filter((kind, at, all) => all.indexOf(kind) === at)

/** What a run meets: every scenario comes round, and the details are by chance. */
export const planOf = (seed: string, runId: string, turn: number): Plan => {
  const of = chance(seed, runId)
  const scenario = scenarios[turn % scenarios.length]!(of)
  const pace: Trouble = { _tag: "Pace", millis: of.between(15, 60) }
  return {
    ...scenario,
    troubles: [...scenario.troubles, pace],
    words: of.between(60, 200),
    thoughts: of.between(0, 6),
    logged: chance(seed, runId, "logged").hits(0.6)
  }
}

const glyphs = ["a", "é", "語", "🙂", "ß", "𝄞"]

/** The sandbox's model: each word once, told apart by its number, with characters of one to four bytes. */
export const scriptOf = (prompt: string): ResponseScript.ResponseScript => {
  const [words = 0, thoughts = 0] = (prompt.match(/\d+/g) ?? []).map(Number)
  const deltas = (length: number) => Array.from({ length }, (_, i) => `${glyphs[i % glyphs.length]}${i} `)
  return {
    items: [
      ...(thoughts > 0 ? [{ type: "reasoning", deltas: deltas(thoughts) } as const] : []),
      { type: "message", deltas: deltas(words) }
    ]
  }
}

export const promptOf = (plan: Plan): string => `Write ${plan.words} words after ${plan.thoughts} thoughts.`
