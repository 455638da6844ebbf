import { Agent, type BackgroundModel, SignedTokens, TokenStore, UpdateLog } from "@effect-baton/core"
import { RunAccess, RunsApi, RunsServer, RunViewers } from "@effect-baton/http"
import { ScriptedModel } from "@effect-baton/testing"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer, Option, Redacted } from "effect"
import { HttpServer, type HttpServerRequest } from "effect/http"
import { HttpApi, HttpApiBuilder } from "effect/http-api"
import { createServer } from "node:http"

export const analyst = Agent.make("analyst", { instructions: "Write reports.", background: true })
export const quiet = Agent.make("quiet", { background: true, log: false })

/** An application with runs below a prefix of its own. */
export class Api extends HttpApi.make("reports").add(RunsApi.group.prefix("/api")) {}

/** A signing key of tokens. */
export const keyOf = (id: string) => ({ id, secret: Redacted.make(`the secret of key ${id}, which is long enough`) })
const Signed = SignedTokens.layer({ keys: [keyOf("1")] })

const bearerOf = (request: HttpServerRequest.HttpServerRequest) =>
  request.headers["authorization"]?.replace(/^Bearer /, "") ??
  // As EventSource sends no Authorization.
  new URL(request.url, "http://here").searchParams.get("access") ??
  undefined

const mays: Readonly<Record<string, ReadonlyArray<RunAccess.Action>>> = {
  guest: ["read"],
  approver: ["read", "approve"],
  robot: ["read", "complete"],
  owner: ["read", "raise"]
}

/** Runs belong to those that started them. Some others may see all of them, and do one thing more at most. */
const Access = RunAccess.layer({
  authenticate: (request) =>
    Effect.succeed(
      Option.filter(Option.fromUndefinedOr(bearerOf(request)), (name) =>
        ["alice", "bob", ...Object.keys(mays)].includes(name)
      )
    ),
  labels: (user) => ({ owner: user }),
  name: (user) => `${user} of sales`,
  may: (user, action, run) => Effect.succeed(mays[user]?.includes(action) ?? run.labels["owner"] === user)
})

export type Engine = BackgroundModel.BackgroundModel | TokenStore.TokenStore | UpdateLog.UpdateLog

/** A scripted model, a store and an update log in memory, and signed tokens. */
export const engine = (script: Parameters<typeof ScriptedModel.layer>[0], options?: ScriptedModel.Options) =>
  Layer.mergeAll(ScriptedModel.layer(script, options), TokenStore.layerMemory, UpdateLog.layerMemory, Signed)

export interface Serving extends RunViewers.Options {
  readonly access?: Layer.Layer<RunAccess.RunAccess>
  readonly resultWait?: RunsServer.Options["resultWait"]
  readonly agents?: RunsServer.Options["agents"]
}

/** The routes of the application, over the engine of the caller. */
export const routes = ({ access = Access, agents = [], resultWait = "20 seconds" }: Serving = {}) =>
  HttpApiBuilder.layer(Api, { openapiPath: "/openapi.json" }).pipe(
    Layer.provide(RunsServer.layer(Api, { agents: [analyst, quiet, ...agents], resultWait })),
    Layer.provide(access)
  )

/** Serves the application on a free port until the scope closes. */
export const servingWith = Effect.fnUntraced(function* (options: Serving) {
  const context = yield* Effect.context<Engine>()
  let viewers: RunViewers.RunViewers["Service"] | undefined
  const counted = Layer.effectDiscard(Effect.map(RunViewers.RunViewers, (service) => void (viewers = service)))
  const server = RunViewers.serve(
    Layer.merge(routes(options), counted),
    NodeHttpServer.layer(() => createServer(), { host: "127.0.0.1", port: 0 }),
    { ...options, isLogged: false }
  ).pipe(Layer.provide([Layer.succeedContext(context), NodeHttpServer.layerHttpServices]))
  const { address } = Context.get(yield* Layer.build(Layer.fresh(server)), HttpServer.HttpServer)
  if (!("port" in address) || viewers === undefined) return yield* Effect.die("it listens on no port")
  return { url: `http://127.0.0.1:${address.port}`, viewers }
})

/** The address of a server that `servingWith` makes. */
export const serving = (options: Serving = {}) => Effect.map(servingWith(options), ({ url }) => url)

/** What answers say: a run, a page of runs, a result, or a problem. */
interface Body {
  readonly type: string
  readonly kind: string
  readonly runId: string
  readonly agent: string
  readonly status: string
  readonly background: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly url: string
  readonly waitingFor?: string
  readonly limit?: string
  readonly pending?: ReadonlyArray<{ readonly [name: string]: unknown; readonly url: string }>
  readonly answer: string
  readonly at: number
  readonly ended: string
  readonly text: string
  readonly content: ReadonlyArray<{
    readonly type: string
    readonly text: string
    readonly result?: unknown
    readonly isFailure?: boolean
  }>
  readonly finishReason: string
  readonly session: string
  readonly runs: ReadonlyArray<Body>
  readonly cursor?: string
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: string
  /** Of an answer that is JSON. */
  readonly json: Body
}

/** Sends a request, and reads the whole answer. */
export const ask = (url: string, options: RequestInit & { readonly as?: string } = {}): Effect.Effect<Answer> =>
  Effect.promise(async (signal) => {
    const { as, ...init } = options
    const headers = new Headers(init.headers)
    if (as !== undefined) headers.set("authorization", `Bearer ${as}`)
    if (init.body !== undefined) headers.set("content-type", "application/json")
    const response = await fetch(url, { ...init, headers, signal })
    const body = await response.text()
    const isJson = /json/.test(response.headers.get("content-type") ?? "")
    return { status: response.status, headers: response.headers, body, json: isJson ? JSON.parse(body) : {} }
  })

/** Starts a run. */
export const post = (url: string, as: string, task: object, key?: string) =>
  ask(`${url}/api/runs`, {
    method: "POST",
    as,
    body: JSON.stringify(task),
    ...(key === undefined ? {} : { headers: { "idempotency-key": key } })
  })

/** The handlers, without a key for tokens. */
export const signedOut = (unsignedTokens?: boolean) =>
  RunsServer.layer(Api, { agents: [analyst], ...(unsignedTokens === undefined ? {} : { unsignedTokens }) }).pipe(
    Layer.provide([RunAccess.layerAllowAll, RunViewers.layer(), ScriptedModel.layer([]), TokenStore.layerMemory])
  )
