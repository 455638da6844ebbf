import { readdirSync, readlinkSync } from "node:fs"
import { Duration, Effect, type Metric } from "effect"

/** Counts the fibers that were started and have not ended. */
export const makeFibers = () => {
  let active = 0
  const service: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void active++,
    recordFiberEnd: () => void active--
  }
  return { service, active: () => active }
}

const count = (all: ReadonlyArray<string>, one: string) => all.filter((other) => other === one).length

/** What this process has open now. */
const look = (fibers: number) => {
  const fds = readdirSync("/proc/self/fd").flatMap((fd) => {
    // The directory's own descriptor is closed by now.
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)]
    } catch {
      return []
    }
  })
  const paths = fds.filter((target) => target.startsWith("/") && !target.startsWith("/dev/"))
  const handles = process.getActiveResourcesInfo().filter((kind) => kind.startsWith("TCP")).length
  return {
    fibers,
    sockets: fds.filter((target) => target.startsWith("socket:")).length,
    handles,
    files: paths.length,
    what: paths
  }
}

/** Looks now, and answers what is left over later: connections that are kept alive are given time to close. */
export const watch = (fibers: () => number) => {
  const before = look(fibers())
  const over = () => {
    const now = look(fibers())
    const more = (key: "fibers" | "sockets" | "files" | "handles") => Math.max(0, now[key] - before[key])
    return {
      fibers: more("fibers"),
      sockets: Math.max(more("sockets"), more("handles")),
      files: more("files"),
      what: now.what.filter(
        (target, i, all) => count(all, target) > count(before.what, target) && all.indexOf(target) === i
      )
    }
  }
  return Effect.gen(function* () {
    let left = over()
    for (let looks = 0; looks < 80 && left.fibers + left.sockets + left.files > 0; looks++) {
      yield* Effect.sleep(Duration.millis(100))
      left = over()
    }
    return left
  })
}
