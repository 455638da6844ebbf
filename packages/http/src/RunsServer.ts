/**
 * The handlers of the endpoints of runs.
 *
 * @since 0.1.0
 */
import { type Agent, AgentError, type BackgroundModel, ContinuationToken, type TokenStore } from "@effect-baton/core"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import { approve, complete, raise, reject } from "./internal/calls.ts"
import type { Engine, Served } from "./internal/known.ts"
import { list } from "./internal/list.ts"
import { authentication, bodyLimit } from "./internal/middleware.ts"
import { cancel, result } from "./internal/result.ts"
import { start } from "./internal/start.ts"
import { state } from "./internal/state.ts"
import { updates } from "./internal/updates.ts"
import type { RunAccess } from "./RunAccess.ts"
import type { group as Group } from "./RunsApi.ts"
import type { RunViewers } from "./RunViewers.ts"

/**
 * Options of the handlers.
 *
 * **Details**
 *
 * - `agents`: the agents whose runs are served, with their tools: results of tool calls are decoded by the schemas of their
 *   tools. Handlers are not needed here. A run of another agent is not there.
 * - `resultWait`: how long a request for a result waits before it is answered with 202. By default 25 seconds.
 * - `maxBody`: the largest body of a request, in bytes. By default 4 MiB. `RunPolicy.maxInput` limits what
 *   is enqueued.
 * - `unsignedTokens`: for development: the server starts without a key. Clients can then change continuation tokens and
 *   sessions.
 *
 * @since 0.1.0
 * @category configuration
 */
export interface Options {
  readonly agents: ReadonlyArray<Agent.Any>
  readonly resultWait?: Duration.Input
  readonly maxBody?: number
  readonly unsignedTokens?: boolean
}

const noKey =
  "The runs are served with continuation tokens that are not signed, which clients can change. Provide SignedTokens.layer " +
  "with a key of 32 random bytes; or set unsignedTokens to true, for development alone."

const served = (api: HttpApi.HttpApi<string, HttpApiGroup.Constraint>, agents: Options["agents"]): Served => {
  const path = (api.groups as Record<string, typeof Group>)["runs"]?.endpoints.state.path ?? ""
  return {
    agents: new Map(agents.map((agent) => [agent.name, agent])),
    pathOf: (runId) => path.replace(":runId", encodeURIComponent(runId))
  }
}

/**
 * Handles the endpoints of runs in an API that has `RunsApi.group`.
 *
 * **Details**
 *
 * Provide it with the same store, update log and policy as the workers that advance the runs. Without an `UpdateLog`, the
 * endpoint of updates answers 409: without a log, updates have no ids. With `mode: "start"`, a run is opened here, and then
 * needs a worker (`Runs.worker`) that writes its updates into the log.
 *
 * Fails with `InvalidInput` if nothing signs continuation tokens: see `SignedTokens.layer`.
 *
 * **Example** (A server)
 *
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { Agent, type BackgroundModel, SignedTokens, type TokenStore } from "@effect-baton/core"
 * import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
 * import { Layer, Redacted } from "effect"
 * import { HttpApi, HttpApiBuilder } from "effect/http-api"
 * import { createServer } from "node:http"
 *
 * declare const Engine: Layer.Layer<BackgroundModel.BackgroundModel | TokenStore.TokenStore>
 *
 * const analyst = Agent.make("analyst", { instructions: "You write sales reports." })
 * const Api = HttpApi.make("reports").add(RunsApi.group.prefix("/api"))
 * const Signed = SignedTokens.layer({ keys: [{ id: "1", secret: Redacted.make("32 random bytes, from your secrets") }] })
 *
 * const Routes = HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
 *   Layer.provide(RunsServer.layer(Api, { agents: [analyst] })),
 *   Layer.provide([RunAccess.layerAllowAll, Signed, Engine])
 * )
 *
 * export const Server = RunViewers.serve(Routes, NodeHttpServer.layer(createServer, { port: 3000 }))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <ApiId extends string, Groups extends HttpApiGroup.Constraint>(
  api: HttpApi.HttpApi<ApiId, Groups>,
  options: Options
): Layer.Layer<
  HttpApiGroup.Service<ApiId, "runs">,
  AgentError.InvalidInput,
  RunAccess | RunViewers | BackgroundModel.BackgroundModel | TokenStore.TokenStore
> => {
  // The prefix of the group is in its type, and nothing else differs.
  const own = api as unknown as HttpApi.HttpApi<ApiId, typeof Group>
  const here = served(api as never, options.agents)
  const wait = Duration.fromInputUnsafe(options.resultWait ?? "25 seconds")
  const handlers = HttpApiBuilder.group(
    own,
    "runs",
    Effect.fnUntraced(function* (to) {
      // Services of the layer, but not its scope: a request has its own.
      const context = Context.omit(Scope.Scope)(yield* Effect.context<RunAccess | RunViewers | Engine>())
      const given = Effect.provideContext(context)
      return to.handleAll({
        start: ({ headers, payload }) => given(start(here, headers["idempotency-key"], payload)),
        list: ({ query }) => given(list(here, query)),
        state: ({ params }) => given(state(here, params.runId)),
        updates: ({ headers: { "last-event-id": lastEventId }, params, query, request }) =>
          given(updates(here, params.runId, { ...query, lastEventId }, request)),
        result: ({ params }) => given(result(here, params.runId, wait)),
        cancel: ({ params }) => given(cancel(here, params.runId)),
        approve: ({ params }) => given(approve(here, params)),
        reject: ({ params, payload }) => given(reject(here, params, payload)),
        complete: ({ params, payload }) => given(complete(here, params, payload)),
        raise: ({ params, payload }) => given(raise(here, params.runId, payload))
      })
    })
  )
  return Layer.unwrap(
    Effect.gen(function* () {
      const isPlain = (yield* ContinuationToken.TokenCodec) === ContinuationToken.TokenCodec.defaultValue()
      if (isPlain && options.unsignedTokens !== true) {
        return yield* new AgentError.InvalidInput({ description: noKey })
      }
      return handlers.pipe(
        Layer.provide([
          authentication,
          bodyLimit(options.maxBody ?? 4 * 1024 * 1024),
          HttpApiMiddleware.layerProblemDetails({ includeDetails: true })
        ])
      )
    })
  )
}
