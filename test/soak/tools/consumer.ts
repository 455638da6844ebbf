import { Agent, type AgentError, type AgentUpdate, Run, RunState, TokenStore, ToolCall } from "@effect-baton/core"
import { Cause, Data, Duration, Effect, Exit, Option, Schedule, Stream } from "effect"
import type { Task } from "../line.ts"
import { chance } from "../random.ts"
import { keeper, type Line, readRuns, tell } from "./lines.ts"
import { agentOf, isLogged, type Plan, planOf, policy, promptOf, saidOf, toolkit } from "./plan.ts"

const sideBySide = 8

/** A reader leaves before the end. */
class Left extends Data.TaggedError("Left")<{}> {}

/** An update, as it is kept. */
export const kept = (
  update: AgentUpdate.AgentUpdate,
  of: { readonly runId: string; readonly life: number; readonly reader: string },
  logged: boolean
): Line => {
  const { part, responseId, status, text, turn, waitingFor } = update
  const isResult = part?.type === "tool-result" && !(part.preliminary ?? false)
  const place = Option.getOrUndefined(update.continuationToken)
  const end = place?.delivered.open.findLast(([, , kind, count]) => kind === 0 && count >= text.length)?.[3]
  return {
    did: "update",
    ...of,
    responseId,
    text,
    rest: JSON.stringify([part?.type, status, waitingFor, turn]),
    ...(logged && place !== undefined ? { offset: place.offset } : {}),
    ...(logged && place?.epoch !== undefined ? { epoch: place.epoch } : {}),
    ...(text === "" || end === undefined ? {} : { end }),
    ...(isResult ? { call: `${turn}:${part.id}`, result: part.result } : {})
  }
}

/** The handlers of a run's tools, in one life of a worker. */
const handlersOf = (task: Task, agent: ReturnType<typeof agentOf>, keep: (line: Line) => void) =>
  Agent.toLayer(
    agent,
    toolkit.toLayer({
      work: ({ fails, kind, millis, part, turn }) =>
        Effect.gen(function* () {
          const { attempt, idempotencyKey: key, later, runId } = yield* ToolCall.ToolCall
          const note = (did: "starts" | "ends" | "is interrupted") =>
            Effect.sync(() => keep({ did, runId, life: task.life, key, attempt }))
          yield* note("starts")
          yield* Effect.onInterrupt(Effect.sleep(Duration.millis(millis)), () => note("is interrupted"))
          yield* note("ends")
          if (kind === "later") return yield* later()
          const result = { said: saidOf(turn, part), by: `${task.worker}.${task.life} ${attempt}` }
          return yield* fails ? Effect.fail(result) : Effect.succeed(result)
        })
    }),
    { policy }
  )

/** What stops a reader, in a word. */
export const howOf = (exit: Exit.Exit<void, AgentError.AgentError | Left>): string => {
  if (Exit.isSuccess(exit)) return "ended"
  const failure = Cause.findErrorOption(exit.cause)
  if (Option.isNone(failure))
    return Cause.hasInterruptsOnly(exit.cause) ? "interrupted" : `defect: ${Cause.pretty(exit.cause)}`
  const error = failure.value
  if (error._tag === "Left") return "left"
  return error.isRetryable || error.reason._tag === "Unconfirmed"
    ? error.reason._tag
    : `fatal ${error.reason._tag}: ${error.message}`
}

/** Brings one run with tools to its end. */
const consume = Effect.fnUntraced(function* (options: {
  readonly task: Task
  readonly runId: string
  readonly injected: (kind: string) => void
  readonly steals: number
}) {
  const { injected, runId, steals, task } = options
  const { life, seed } = task
  const plan: Plan = planOf(seed, runId)
  const agent = agentOf(seed, runId)
  const logged = isLogged(seed, runId)
  const keep = keeper(task)
  const input = promptOf(plan)
  const of = chance(seed, runId, life, "tools")
  const run = { over: false }
  let isKnown = false
  let attempts = 0

  const record = TokenStore.TokenStore.use((store) => store.read(Run.RunId.make(runId)))

  /** Nobody reads a run that waits: until somebody has answered. */
  const waits = Effect.repeat(
    Effect.map(Effect.option(record), (read) =>
      Option.match(Option.flatten(read), {
        onNone: () => false,
        onSome: (found) => RunState.statusOfRecord(found) !== "waiting" || found.due !== null
      })
    ),
    { until: (goesOn) => goesOn, schedule: Schedule.spaced("100 millis") }
  )

  const attempt = Effect.fnUntraced(function* (isThief: boolean) {
    const reader = `${task.worker}.${life}.${++attempts}${isThief ? "r" : ""}`
    const length = of.hits(0.3) ? of.between(1, 60) : Infinity
    const limit = of.hits(0.2) ? of.between(100, 3000) : undefined
    const updates =
      !isThief && (!isKnown || of.hits(0.3))
        ? Agent.stream(agent, { runId, input })
        : Agent.resume(agent, { runId, ...(isThief ? { ifLeased: "steal" as const } : {}) })
    let last: AgentUpdate.AgentUpdate | undefined
    let taken = 0
    const reading = Stream.runForEach(updates, (update): Effect.Effect<void, Left> => {
      if (taken++ === length) return new Left()
      isKnown = true
      last = update
      keep(kept(update, { runId, life, reader }, logged))
      return Effect.void
    })
    const exit = yield* Effect.exit(
      limit === undefined
        ? reading
        : Effect.timeoutOrElse(reading, { duration: Duration.millis(limit), orElse: () => new Left() })
    )
    const how = howOf(exit)
    keep({ did: "stop", runId, life, reader, how })
    if (how === "LeaseLost") injected("tools: lease lost")
    if (how === "Unconfirmed" && !isThief) {
      injected("tools: opened again")
      return yield* Effect.ignore(Agent.retry(agent, { runId, input, mayBuyTwice: true }))
    }
    if (how.startsWith("fatal") || how.startsWith("defect")) return yield* finished(how)
    if (how !== "ended") return
    if (last?.status === "waiting") {
      injected(`tools: waited for ${last.waitingFor}`)
      return yield* waits
    }
    if (last === undefined || Run.isOver(last.status)) yield* finished("")
  })

  /** Asks for the whole answer: the run is over for this worker once it has it. */
  const finished = Effect.fnUntraced(function* (fatal: string) {
    if (fatal !== "") {
      keep({ did: "end", runId, life, status: fatal, text: "", results: [] })
      run.over = true
      return
    }
    const found = yield* Effect.option(record)
    if (Option.isNone(Option.flatten(found))) return
    const answer = yield* Effect.option(Agent.result(agent, { runId }))
    if (Option.isNone(answer)) return
    const { content, status, text } = answer.value
    const results = content.flatMap((part) => (part.type === "tool-result" ? [part.result] : []))
    keep({ did: "end", runId, life, status, text, results })
    run.over = true
  })

  const most = of.between(1, 4)
  let stolen = 0
  const rivals = of.hits(steals)
    ? Effect.forever(
        Effect.andThen(
          Effect.sleep("700 millis"),
          Effect.suspend(() => {
            // A long handler must be left to its end once.
            if (run.over || !isKnown || stolen === most || !of.hits(0.5)) return Effect.void
            stolen++
            injected("tools: stolen")
            return attempt(true)
          })
        )
      )
    : Effect.never

  const whole = Effect.gen(function* () {
    while (!run.over) {
      yield* attempt(false)
      if (!run.over) yield* Effect.sleep(Duration.millis(of.between(10, 300)))
    }
  })
  yield* Effect.raceFirst(whole, rivals).pipe(Effect.provide(handlersOf(task, agent, keep)))
  tell(task, "over", runId)
})

// So that each kind of call comes round, however slow the machine.
const fewest = 12

/** Brings runs with tools to their ends, several side by side, until no more are to begin. */
export const consumeAll = Effect.fnUntraced(function* (task: Task, injected: (kind: string) => void) {
  const { begun, over } = readRuns(task)
  let next = begun.size
  const runs = function* () {
    for (const runId of begun) if (!over.has(runId)) yield runId
    while (Date.now() < task.until || next < fewest) {
      const runId = `t${task.worker}-${next++}`
      tell(task, "begun", runId)
      yield runId
    }
  }
  const queue = runs()
  const steals = task.sabotage === "tool-first" ? 1 : 0.25
  const lane = Effect.gen(function* () {
    for (let at = queue.next(); at.done !== true; at = queue.next()) {
      yield* consume({ task, runId: at.value, injected, steals })
    }
  })
  yield* Effect.all(
    Array.from({ length: sideBySide }, () => lane),
    { concurrency: "unbounded", discard: true }
  )
})
