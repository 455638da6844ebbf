/**
 * The steps of a scripted model's script. `ScriptedModel` exports these types.
 *
 * @since 0.1.0
 */
import type { BackgroundModel, Run } from "@effect-baton/core"
import type * as Duration from "effect/Duration"
import type * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"

/**
 * The output that a response shows once it is over: in its terminal event, and when it is retrieved.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shown {
  readonly event?: ReadonlyArray<BackgroundModel.SnapshotItem>
  readonly retrieve?: ReadonlyArray<BackgroundModel.SnapshotItem>
}

/**
 * The tokens that a response used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Used {
  readonly input: number
  readonly output: number
}

/**
 * The step that ends a script.
 *
 * @since 0.1.0
 * @category models
 */
export interface End {
  readonly _tag: "End"
  readonly status: Run.RunStatus
  readonly reason: Response.FinishReason
  readonly error?: AiError.AiError
  readonly shown?: Shown
  readonly used?: Used
}

/**
 * One step of a script.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Event"; readonly event: Omit<BackgroundModel.ModelEvent, "sequenceNumber" | "terminal"> }
  | { readonly _tag: "Text"; readonly item: number; readonly deltas: ReadonlyArray<string> }
  | { readonly _tag: "Whole"; readonly item: number; readonly text: string }
  | { readonly _tag: "Close"; readonly item: number }
  | { readonly _tag: "Call"; readonly name: string; readonly params: unknown; readonly callId: string | undefined }
  | { readonly _tag: "Pause"; readonly duration: Duration.Duration }
  | { readonly _tag: "Queued" }
  | { readonly _tag: "Disconnect" }
  | { readonly _tag: "Fail"; readonly error: AiError.AiError }
  | End
