import type { Lane } from "@effect-baton/core/BackgroundModel"
import { isMissing, type Json } from "./fields.ts"

/**
 * Where an item was found: in the event that finishes it, in a response that is over, or in a response that is under way.
 * In a response that was cut short, an item is complete only if it says so.
 */
export type Seen = "at its end" | "over" | "cut short" | "under way"

/** The lanes of an item, or undefined if the item cannot be read. */
export type Read = ReadonlyArray<Lane> | undefined

/** Reads an item that becomes no parts. */
export const none = (): Read => []

const ends: ReadonlySet<unknown> = new Set(["completed", "incomplete", "failed", "cancelled"])

/** Whether the item will not change any more. */
export const isFinished = ({ status }: Json, seen: Seen): boolean => seen !== "under way" || ends.has(status)

/** Whether a call is whole. One that was cut short must not be carried out: its parameters may not be what was meant. */
export const isWhole = ({ status }: Json, seen: Seen): boolean =>
  isMissing(status) ? seen === "at its end" || seen === "over" : status === "completed"

/** Whether a call of the provider has ended, well or not, and was not cut short. */
export const isRun = (item: Json, seen: Seen): boolean => item["status"] === "failed" || isWhole(item, seen)
