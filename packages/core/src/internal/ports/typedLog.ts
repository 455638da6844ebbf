import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { UpdateLog } from "../../UpdateLog.ts"
import { UpdateLogError } from "../../UpdateLogError.ts"
import { failing, inForm, isDead } from "../primitives/died.ts"

type Service = UpdateLog["Service"]

const died = (operation: string, cause: Cause.Cause<unknown>): UpdateLogError =>
  new UpdateLogError({
    operation,
    kind: "unavailable",
    description: "the update log died instead of failing; this is a bug of the log",
    cause
  })

const typed = <A, E>(operation: keyof Service, call: () => Effect.Effect<A, E>) =>
  failing(call, (cause) => died(operation, cause))

const form = inForm((log: Service): Service => ({
  open: (runId, epoch) => typed("open", () => log.open(runId, epoch)),
  append: (runId, chunk) => typed("append", () => log.append(runId, chunk)),
  read: (runId, options) => typed("read", () => log.read(runId, options)),
  changes: (runId) =>
    Stream.catchCause(log.changes(runId), (cause) =>
      isDead(cause) ? Stream.fail(died("changes", cause)) : Stream.failCause(cause)
    ),
  truncate: (runId, before) => typed("truncate", () => log.truncate(runId, before)),
  remove: (runId) => typed("remove", () => log.remove(runId))
}))

/** The current update log, whose operations fail instead of dying; undefined if there is none. */
export const typedLog: Effect.Effect<Service | undefined> = Effect.map(Effect.serviceOption(UpdateLog), (found) =>
  Option.isNone(found) ? undefined : form(found.value)
)
