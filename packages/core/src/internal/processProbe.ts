import * as Context from "effect/Context"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"

/** How this process is called, and whether another one on this host is alive. */
export interface ProcessProbe {
  readonly pid: number
  readonly host: string
  readonly isAlive: (pid: number) => boolean
}

// What is used of Node's `process`, where there is one.
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

export const ProcessProbe = Context.Reference<ProcessProbe>("@effect-baton/core/TokenStore/ProcessProbe", {
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
            // Not allowed to signal it: it is there, and belongs to somebody else.
            onFailure: (error) => Predicate.hasProperty(error, "code") && error.code === "EPERM"
          }
        )
    }
  }
})
