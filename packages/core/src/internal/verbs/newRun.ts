import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Prompt from "effect/ai/Prompt"
import { type AgentError, InvalidInput, RunInputMismatch } from "../../AgentError.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import { RunId } from "../../Run.ts"
import type { NewRun, RunRecord } from "../../RunRecord.ts"
import * as RunState from "../../RunState.ts"
import type { CreateOptions, TokenStore } from "../../TokenStore.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { AdoptOptions, RunInput } from "../../RunInput.ts"
import { freshId } from "../primitives/freshId.ts"
import { timeOf } from "../hold/lease.ts"
import {
  checkModel,
  checkVersion,
  decodeRunId,
  errorOf,
  lastResponse,
  logOf,
  named,
  type OpenRun,
  servicesOf,
  storeFailed,
  unableOf
} from "../run/openRun.ts"
import { firstRequest, hash, invalid, readLabels, readTask } from "../run/task.ts"
import { namesOf } from "../tools/handlers.ts"

/** The checked arguments of a new run: its id, its task, its labels. */
export interface Asked extends Pick<NewRun, "labels" | "runId" | "session"> {
  readonly prompt: Prompt.Prompt
  readonly digest: string
}

/** Checks the arguments of a new run. */
export const ask = Effect.fnUntraced(function* (agent: Agent, options: RunInput): Effect.fn.Return<Asked, AgentError> {
  if ("continuationToken" in options && options.continuationToken !== undefined) {
    const why =
      "A run that is continued takes no new input. Use Agent.resume with the token, or start another run with the input."
    return yield* named(agent)(Effect.fail(invalid(why)))
  }
  const runId =
    options.runId === undefined ? RunId.make(yield* freshId) : yield* named(agent)(decodeRunId(options.runId))
  const inError = named(agent, options.runId === undefined ? undefined : runId)
  const task = yield* inError(readTask(agent, options))
  const labels = yield* inError(readLabels(options.labels))
  return { ...task, ...labels, runId, session: options.session ?? {} }
})

/** Records a run, unless the store has one with its id: that one must have the same task. */
export const record = Effect.fnUntraced(function* (
  run: Pick<OpenRun, "agent" | "known" | "log" | "runId" | "store">,
  { digest, labels, runId, session }: Asked,
  background: boolean,
  options: CreateOptions
): Effect.fn.Return<{ readonly record: RunRecord; readonly created: boolean }, AgentError> {
  const { agent, store } = run
  const answer = yield* store
    .create(
      {
        runId,
        agent: agent.name,
        ...(agent.version === undefined ? {} : { agentVersion: agent.version }),
        digest,
        background,
        session,
        ...(labels === undefined ? {} : { labels }),
        ...toolsOf(agent),
        ...loggedBy(run)
      },
      options
    )
    .pipe(Effect.mapError(storeFailed(run)))
  const { record: known } = answer
  run.known.responseId = lastResponse(known)
  if (known.agent !== agent.name || (known.digest !== undefined && known.digest !== digest)) {
    return yield* errorOf(run)(new RunInputMismatch({ runId }))
  }
  return answer
})

/** The tools of the agent, for processes whose agent does not have them. */
const toolsOf = (agent: Agent): Pick<NewRun, "tools"> => {
  const tools = namesOf(agent)
  return tools.length === 0 ? {} : { tools }
}

/** Whether a new run is logged. */
const loggedBy = ({ agent, log }: Pick<OpenRun, "agent" | "log">): Pick<NewRun, "logged"> =>
  log === undefined || agent.log === false ? {} : { logged: true }

/** The run for this input: an existing one, or a new one that is recorded but not opened. */
export const create = Effect.fnUntraced(function* (
  agent: Agent,
  options: RunInput & { readonly background?: boolean }
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  const { model, policy } = found
  const asked = yield* ask(agent, options)
  const { runId } = asked
  // Runs go on in the background if the model can do that, unless the call or the agent says otherwise.
  const background = options.background ?? agent.background ?? model.capabilities.background
  const unable = unableOf(model, background)
  if (unable !== undefined) return yield* errorOf({ ...found, runId })(unable)
  // If the process that starts the run is alive, it holds the run by then.
  const due = Duration.times(timeOf(policy), 2)
  const { record: known } = yield* record({ ...found, runId }, asked, background, { due })
  const run: OpenRun = { ...found, runId, record: known, request: firstRequest(agent, known, asked.prompt) }
  yield* checkVersion(run)
  yield* checkModel(run)
  yield* logOf(run)
  return run
})

/** Records a response that another program opened as a run of this agent. */
export const adopt = Effect.fnUntraced(function* (
  agent: Agent,
  options: AdoptOptions
): Effect.fn.Return<OpenRun, AgentError, BackgroundModel | TokenStore> {
  const found = yield* servicesOf(agent)
  const { model, store } = found
  const { responseId } = options
  if (responseId === "") {
    return yield* named(agent)(
      Effect.fail(invalid("The response id is empty. Give the provider's id of the response."))
    )
  }
  found.known.responseId = responseId
  const isName = Schema.is(RunId)
  const name = options.runId ?? responseId
  const runId =
    options.runId === undefined && !isName(name)
      ? RunId.make(`adopted-${yield* hash(responseId)}`)
      : yield* named(agent)(decodeRunId(name))
  const labels = yield* named(agent, runId)(readLabels(options.labels))
  const run = { ...found, runId }
  const { record: known } = yield* store
    .create(
      {
        runId,
        agent: agent.name,
        ...(agent.version === undefined ? {} : { agentVersion: agent.version }),
        background: true,
        session: {},
        ...labels,
        ...toolsOf(agent),
        ...loggedBy(run)
      },
      {
        facts: [{ _tag: "Accepted", by: "adopt", turn: 0, responseId, streamed: model.capabilities.resume }]
      }
    )
    .pipe(Effect.mapError(storeFailed(run)))
  if (known.agent !== agent.name || !RunState.responseIds(known).includes(responseId)) {
    const description = `Another run has this id. Give response '${responseId}' another run id.`
    return yield* errorOf(run)(new InvalidInput({ description }))
  }
  return { ...run, record: known }
})
