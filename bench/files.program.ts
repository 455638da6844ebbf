/**
 * Durable commits of positions to a file, one after the other and 64 at once: `files.program.ts SUBJECT MILLISECONDS`.
 * `store` is Baton's. The others write the bytes that Baton writes for a commit: `group` all that wait with one write and
 * one sync, again and again; `each` every one with a write and a sync of its own.
 */
import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Effect, Layer, ManagedRuntime } from "effect"
import { fsync, openSync, write } from "node:fs"
import { readFile } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { byEffect, byPromise, laneOf, manyLanes, measure, type Work } from "./lanes.ts"
import { setting } from "./stores.ts"

const [subject = "", milliseconds = ""] = process.argv.slice(2)

process.stdin.resume().once("end", () => process.exit(1))

const directory = join(setting("BENCH_FILES"), String(process.pid))
const runtime = ManagedRuntime.make(Layer.provide(TokenStore.layerFile({ directory }), NodeServices.layer))
const lanes = await runtime.runPromise(Effect.forEach(manyLanes, laneOf))

const check = async () => {
  const written = await runtime.runPromise(Effect.forEach(lanes, (lane) => lane.written))
  if (written.includes(false)) throw new Error("A position is not in the store.")
}

const byStore = (atOnce: number): Work =>
  byEffect(
    runtime.runPromise,
    lanes.slice(0, atOnce).map(({ commit }) => commit)
  )

/** The line that Baton writes for a commit like those that are measured. */
const lineOf = async () => {
  for (const { commit } of lanes)
    await runtime.runPromise(Effect.andThen(Effect.suspend(commit), Effect.suspend(commit)))
  await runtime.dispose()
  const lines = (await readFile(join(directory, "runs.log"), "utf8")).split("\n")
  return `${lines.at(-2) ?? ""}\n`
}

/** Appends by hand. */
const byHand = async () => {
  const line = await lineOf()
  const fd = openSync(join(directory, "by-hand.log"), "a")
  const append = promisify(write)
  const sync = promisify(fsync)
  let waiting: { text: string; readonly done: PromiseWithResolvers<void> } | undefined
  let isWriting = false
  const writer = async () => {
    isWriting = true
    while (waiting !== undefined) {
      const { done, text } = waiting
      waiting = undefined
      const bytes = Buffer.from(text)
      const { bytesWritten } = await append(fd, bytes)
      if (bytesWritten !== bytes.length) throw new Error("Not all was written.")
      await sync(fd)
      done.resolve()
      // Whoever was waiting for this goes on, and shares the next write.
      await done.promise
    }
    isWriting = false
  }
  const inGroup = () => {
    waiting ??= { text: "", done: Promise.withResolvers<void>() }
    waiting.text += line
    if (!isWriting) void Promise.resolve().then(() => (isWriting ? undefined : writer()))
    return waiting.done.promise
  }
  const alone = async () => {
    await append(fd, Buffer.from(line))
    await sync(fd)
  }
  return (atOnce: number): Work =>
    byPromise(Array.from({ length: atOnce }, () => (subject === "group" ? inGroup : alone)))
}

await (subject === "store"
  ? measure(Number(milliseconds), byStore, check)
  : measure(Number(milliseconds), await byHand(), () => Promise.resolve()))
process.exit(0)
