import type * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type * as AiError from "effect/ai/AiError"
import type { AgentError } from "../../AgentError.ts"
import type {
  BackgroundModel,
  CreateUnconfirmed,
  ModelEvent,
  ReplayUnavailable,
  ResponseGone
} from "../../BackgroundModel.ts"
import type { RunPolicy } from "../../RunPolicy.ts"
import type { Trouble } from "../telemetry/trouble.ts"
import type { Signal } from "../primitives/signal.ts"
import type { Telemetry } from "../telemetry/telemetry.ts"
import type { Reader } from "./reader.ts"
import type { StallWatch } from "./stallWatch.ts"

/** The errors of a connection. */
export type Failure = AiError.AiError | CreateUnconfirmed | ReplayUnavailable | ResponseGone

/** The events of a connection. */
export type Events = Pull.Pull<ReadonlyArray<ModelEvent>, Failure>

/** Forks the fiber that reads a connection. */
export type Fork = (pulls: Effect.Effect<void, Failure | Cause.Done>) => Fiber.Fiber<void, Failure | Cause.Done>

/** A response that is being followed, as the modules of this folder see it. */
export interface Following {
  readonly model: BackgroundModel["Service"]
  readonly policy: RunPolicy
  readonly reader: Reader
  readonly watch: StallWatch
  readonly telemetry: Telemetry
  readonly trouble: Trouble
  /** The scope in which attachments live. */
  readonly scope: Scope.Scope
  /** The time that the response may take, if that is longer than usual. */
  readonly window: Duration.Duration | undefined
  /** Fires when this process lost the run. */
  readonly lost: Signal<AgentError>
  /** Fires when a response must stop that only this connection keeps alive. */
  readonly stopped: Signal<void>
  /** Ends when others have written something about the response. */
  readonly woken: Effect.Effect<void>
  readonly errorOf: (reason: AgentError["reason"]) => AgentError
  readonly fail: (reason: AgentError["reason"]) => Effect.Effect<never, AgentError>
}

/** The connection that opened a response, with the events that came until the response was named. */
export interface Connection {
  readonly scope: Scope.Closeable
  readonly first: ReadonlyArray<ModelEvent>
  readonly rest: Events
  readonly fork: Fork
}
