/**
 * Who may see and do what.
 *
 * @since 0.1.0
 */
import type { RunRecord } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Option from "effect/Option"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { Unauthenticated } from "./RunProblem.ts"

/**
 * What a caller wants to do with a run.
 *
 * **Details**
 *
 * - `start`: create it. `cancel`: end it.
 * - `read`: see its status, also in listings.
 * - `watch`: see its updates. `result`: see its whole output.
 * - `approve`: see its tool calls that wait, and approve or reject them. `complete`: see them, and give their results.
 * - `raise`: raise its limits.
 *
 * @since 0.1.0
 * @category models
 */
export type Action = "start" | "read" | "watch" | "result" | "cancel" | "approve" | "complete" | "raise"

/**
 * The run that a caller wants to do something with. `runId` is absent if a new run gets an id of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subject {
  readonly agent: string
  readonly runId?: string
  readonly labels: RunRecord.Labels
}

/**
 * Says who calls, and what each caller may do.
 *
 * **When to use**
 *
 * Make one with `layer`. Nothing is allowed without it.
 *
 * @since 0.1.0
 * @category services
 */
export class RunAccess extends Context.Service<
  RunAccess,
  {
    /** The caller of a request; none if the request does not say, or what it says is not accepted. */
    readonly authenticate: (request: HttpServerRequest) => Effect.Effect<Option.Option<unknown>>
    /** Whether a caller may do this. */
    readonly may: (caller: unknown, action: Action, run: Subject) => Effect.Effect<boolean>
    /** The labels of all runs that a caller starts. They replace those of the request that have the same names. */
    readonly labels: (caller: unknown) => RunRecord.Labels
    /** The name under which the answers of a caller to tool calls are recorded. */
    readonly nameOf: (caller: unknown) => string
    /** The header `WWW-Authenticate` of answers to requests without a caller. */
    readonly challenge: string
  }
>()("@effect-baton/http/RunAccess") {}

/**
 * The caller of the current request. The middleware `Authentication` provides it.
 *
 * @since 0.1.0
 * @category services
 */
export class Caller extends Context.Service<Caller, { readonly value: unknown }>()(
  "@effect-baton/http/RunAccess/Caller"
) {}

/**
 * The middleware of the group: it asks `RunAccess` for the caller, before anything of the request is read. `RunsServer.layer`
 * has it.
 *
 * @since 0.1.0
 * @category middleware
 */
export class Authentication extends HttpApiMiddleware.Service<Authentication, { provides: Caller }>()(
  "@effect-baton/http/RunAccess/Authentication",
  { error: Unauthenticated }
) {}

/**
 * Makes a `RunAccess`.
 *
 * **Details**
 *
 * - `authenticate`: the caller of a request, from a header, a cookie or the query: `EventSource` sends no `Authorization`.
 * - `may`: whether a caller may do something with a run. It is asked for each run of a listing, so it should be fast.
 * - `labels`: labels that all runs of a caller get, whatever the request says: `may` can then go by them.
 * - `name`: the name under which a caller's approvals, results and new limits are recorded. By default `a client`. The record
 *   of the run keeps it; clients do not see it.
 * - `challenge`: the header `WWW-Authenticate` of a 401. By default `Bearer`.
 *
 * A run that a caller may not `read` does not exist for this caller: the answer is 404.
 *
 * **Example** (Runs belong to those that started them)
 *
 * ```ts
 * import { RunAccess } from "@effect-baton/http"
 * import { Effect, Option } from "effect"
 *
 * declare const userOf: (cookie: string | undefined) => Effect.Effect<Option.Option<string>>
 *
 * export const Access = RunAccess.layer({
 *   authenticate: (request) => userOf(request.cookies["session"]),
 *   labels: (user) => ({ owner: user }),
 *   name: (user) => user,
 *   may: (user, _action, run) => Effect.succeed(run.labels["owner"] === user)
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Who, R1 = never, R2 = never>(options: {
  readonly authenticate: (request: HttpServerRequest) => Effect.Effect<Option.Option<Who>, never, R1>
  readonly may: (caller: Who, action: Action, run: Subject) => Effect.Effect<boolean, never, R2>
  readonly labels?: (caller: Who) => RunRecord.Labels
  readonly name?: (caller: Who) => string
  readonly challenge?: string
}): Layer.Layer<RunAccess, never, R1 | R2> =>
  Layer.effect(
    RunAccess,
    Effect.contextWith((context: Context.Context<R1 | R2>) =>
      Effect.succeed({
        authenticate: (request) => Effect.provideContext(options.authenticate(request), context),
        // The caller is one that `authenticate` returned.
        may: (caller, action, run) => Effect.provideContext(options.may(caller as Who, action, run), context),
        labels: (caller) => options.labels?.(caller as Who) ?? {},
        nameOf: (caller) => options.name?.(caller as Who) ?? "a client",
        challenge: options.challenge ?? "Bearer"
      })
    )
  )

/**
 * Allows everything to everybody: for development, and for tests.
 *
 * **Gotchas**
 *
 * Everybody who reaches the server can read and cancel all runs, and start new ones on your account.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAllowAll: Layer.Layer<RunAccess> = layer({
  authenticate: () => Effect.succeedSome("anybody"),
  may: () => Effect.succeed(true)
})
