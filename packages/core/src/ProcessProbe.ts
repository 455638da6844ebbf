/**
 * The name of this process, and whether other processes are alive.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/**
 * The questions that a store asks about processes.
 *
 * **Details**
 *
 * | field | meaning |
 * | --- | --- |
 * | `pid` | the number of this process |
 * | `host` | the name of the machine, or of the container, in which that number is unique |
 * | `isAlive` | whether the process with this number is there; it is only asked about processes of the same host |
 *
 * @since 0.1.0
 * @category models
 */
export interface Probe {
  readonly pid: number
  readonly host: string
  readonly isAlive: (pid: number) => boolean
}

// The members of Node's `process` that are used here.
interface ProcessLike {
  readonly pid: number
  readonly kill: (pid: number, signal: 0) => unknown
  readonly getBuiltinModule?: (id: "node:os") => { readonly hostname: () => string } | undefined
}

const isProcessLike = (u: unknown): u is ProcessLike =>
  Predicate.hasProperty(u, "pid") &&
  Predicate.isNumber(u.pid) &&
  Predicate.hasProperty(u, "kill") &&
  Predicate.isFunction(u.kill)

/**
 * The service by which `TokenStore.layerFile` names this process, and finds out whether the process that left a lock is
 * alive.
 *
 * **When to use**
 *
 * Provide your own on a runtime without Node's `process`, or in a test.
 *
 * **Details**
 *
 * The default uses `globalThis.process`: its `pid`, the name of the host, and `process.kill(pid, 0)`. Without a `process`,
 * this process has number 1 on `localhost`, and every other process counts as alive.
 *
 * **Example** (Naming the host)
 *
 * ```ts
 * import { ProcessProbe } from "@effect-baton/core"
 * import { Layer } from "effect"
 *
 * export const probe = Layer.succeed(ProcessProbe.ProcessProbe, {
 *   pid: process.pid,
 *   host: "worker-7",
 *   isAlive: (pid) => pid === process.pid
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export const ProcessProbe = Context.Reference<Probe>("@effect-baton/core/ProcessProbe/ProcessProbe", {
  defaultValue: () => {
    const process: unknown = Reflect.get(globalThis, "process")
    if (!isProcessLike(process)) {
      return { pid: 1, host: "localhost", isAlive: () => true }
    }
    return {
      pid: process.pid,
      host: Result.getOrElse(
        Result.try(() => process.getBuiltinModule?.("node:os")?.hostname() ?? "localhost"),
        () => "localhost"
      ),
      isAlive: (pid) =>
        Result.match(
          Result.try(() => process.kill(pid, 0)),
          {
            onSuccess: () => true,
            // A process that this one may not signal exists, and belongs to another user.
            onFailure: (error) => Predicate.hasProperty(error, "code") && error.code === "EPERM"
          }
        )
    }
  }
})
