import type { ResponseOutputItem } from "openai/resources/responses/responses"
import type { Json } from "./support.ts"

/** An output item, and what it becomes. */
export interface Case {
  /** The item as it is in the end. */
  readonly item: ResponseOutputItem
  /** The fields that are different when the item is announced. */
  readonly announced: object
  /** The events between the beginning and the end of the item, without their place. */
  readonly events?: ReadonlyArray<Json>
  /** The parts, without the deltas of texts. */
  readonly parts: ReadonlyArray<string>
  /** The calls that wait for the caller. */
  readonly waits?: ReadonlyArray<string>
  /** The metadata of the calls that wait. */
  readonly metadata?: Json
  /** Whether the item has no status of its own. */
  readonly stateless?: true
}

type Type = ResponseOutputItem["type"]

/** Cases of items of one type. */
type CasesOf<T extends Type> = ReadonlyArray<
  Case & {
    readonly item: Extract<ResponseOutputItem, { readonly type: T }>
    readonly announced: Partial<Extract<ResponseOutputItem, { readonly type: T }>>
  }
>

/** If the SDK learns a type of item, a table of these no longer compiles: decide which parts the item becomes. */
export type Cases<T extends Type = Type> = { readonly [K in T]: CasesOf<K> }

/** The bounds of the parameters of a call. */
export const params = ["<tool-params-start>", "<tool-params-end>"]
