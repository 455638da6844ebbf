import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { AgentError } from "../../AgentError.ts"
import type { AgentUpdate, Delivery } from "../../AgentUpdate.ts"
import type { BackgroundModel } from "../../BackgroundModel.ts"
import type { TokenStore } from "../../TokenStore.ts"
import { advance, advanceManually } from "../advance/advance.ts"
import type { Agent } from "../../AgentDefinition.ts"
import type { RunInput, RunRef, StreamOptions, WatchRef } from "../../RunInput.ts"
import * as NewRun from "./newRun.ts"
import * as OpenRun from "../run/openRun.ts"
import { watch as readAlong } from "../watch/watch.ts"

type Requirements = BackgroundModel | TokenStore

const advancing = (
  run: OpenRun.OpenRun,
  options: StreamOptions
): Effect.Effect<Stream.Stream<AgentUpdate | Delivery, AgentError>, AgentError, Scope.Scope> =>
  options.acknowledge === "manual" ? advanceManually(run, options) : advance(run, options)

/** Starts a run, or continues the one that `runId` names, and streams its updates. */
export const stream = (
  agent: Agent,
  input: RunInput & StreamOptions & { readonly background?: boolean }
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> =>
  Stream.unwrap(Effect.flatMap(NewRun.create(agent, input), (run) => advancing(run, input)))

/** Streams the updates of an existing run from its position. */
export const resume = (
  agent: Agent,
  ref: RunRef & StreamOptions
): Stream.Stream<AgentUpdate | Delivery, AgentError, Requirements> =>
  Stream.unwrap(
    OpenRun.find(agent, ref).pipe(
      Effect.tap(OpenRun.checkModel),
      Effect.flatMap((run) => advancing(run, ref))
    )
  )

/** Streams the updates of a run without its lease. */
export const watch = (agent: Agent, ref: WatchRef): Stream.Stream<AgentUpdate, AgentError, Requirements> =>
  Stream.unwrap(Effect.flatMap(OpenRun.find(agent, ref), readAlong))
