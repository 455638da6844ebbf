/**
 * The viewers that a process serves: how many, how slow they may be, and how they are told to come again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as HttpMiddleware from "effect/http/HttpMiddleware"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"

/**
 * Settings of viewers.
 *
 * **Details**
 *
 * | field | meaning | default |
 * | --- | --- | --- |
 * | `max` | how many viewers this process serves at once; one more gets 429 | 1,000 |
 * | `heartbeat` | after this long without an event, a comment is sent, so that proxies keep the connection | 15 s |
 * | `timeout` | a viewer whose connection takes nothing for this long is ended | 60 s |
 * | `goodbye` | how long a server that stops waits until its viewers have taken their last event | 5 s |
 *
 * @since 0.1.0
 * @category configuration
 */
export interface Options {
  readonly max?: number
  readonly heartbeat?: Duration.Input
  readonly timeout?: Duration.Input
  readonly goodbye?: Duration.Input
}

/**
 * A viewer, as the service that counts them sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Viewer {
  /** Looks whether a heartbeat is due, or the viewer is too slow: called a few times within each of both times. */
  readonly look: (now: number) => void
  /** Ends the viewer, and tells it to come again. */
  readonly dismiss: () => void
}

/**
 * The viewers of a process.
 *
 * @since 0.1.0
 * @category services
 */
export class RunViewers extends Context.Service<
  RunViewers,
  {
    /** The times that `look` goes by, in milliseconds. */
    readonly heartbeat: number
    readonly timeout: number
    /** How many viewers there are now. */
    readonly count: Effect.Effect<number>
    /** Takes a viewer in until the scope closes. Fails if there are too many, or the server stops. */
    readonly enter: (viewer: Viewer) => Effect.Effect<void, "full" | "closing", Scope.Scope>
    /** Tells all viewers to come again, takes in no more, and waits for `goodbye` at most until all are gone. */
    readonly close: Effect.Effect<void>
  }
>()("@effect-baton/http/RunViewers") {}

/**
 * Makes the service. It looks after its viewers until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (
  options: Options
): Effect.fn.Return<RunViewers["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const max = options.max ?? 1000
  const heartbeat = Duration.toMillis(Duration.fromInputUnsafe(options.heartbeat ?? "15 seconds"))
  const timeout = Duration.toMillis(Duration.fromInputUnsafe(options.timeout ?? "60 seconds"))
  const goodbye = Duration.fromInputUnsafe(options.goodbye ?? "5 seconds")
  const viewers = new Set<Viewer>()
  const gone = Latch.makeUnsafe(true)
  let closing = false

  const enter = (viewer: Viewer) =>
    Effect.acquireRelease(
      Effect.suspend(() => {
        if (closing) return Effect.fail("closing" as const)
        if (viewers.size >= max) return Effect.fail("full" as const)
        viewers.add(viewer)
        gone.closeUnsafe()
        return Effect.void
      }),
      () =>
        Effect.sync(() => {
          viewers.delete(viewer)
          if (viewers.size === 0) gone.openUnsafe()
        })
    )

  const close = Effect.suspend(() => {
    closing = true
    for (const viewer of viewers) viewer.dismiss()
    return Effect.asVoid(Effect.timeoutOption(gone.await, goodbye))
  })

  yield* Effect.sync(() => {
    const now = clock.currentTimeMillisUnsafe()
    for (const viewer of viewers) viewer.look(now)
  }).pipe(Effect.delay(Math.max(1, Math.min(heartbeat, timeout) / 5)), Effect.forever, Effect.forkScoped)

  yield* Effect.addFinalizer(() => close)
  return RunViewers.of({ heartbeat, timeout, count: Effect.sync(() => viewers.size), enter, close })
})

/**
 * Counts the viewers of a process, and looks after them.
 *
 * **Details**
 *
 * When its scope closes, all viewers get the event `retry-later`, and their responses end. With a Node server use `serve`
 * instead, which does that before the server waits for its connections.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options = {}): Layer.Layer<RunViewers> => Layer.effect(RunViewers, make(options))

/**
 * Serves routes, with `RunViewers` for them, until the scope closes.
 *
 * **When to use**
 *
 * Use it in place of `HttpRouter.serve` for routes with `RunsApi.group`.
 *
 * **Details**
 *
 * - The routes are built before the server listens. A Node server never answers a request that comes before its routes are
 *   there, so that a browser which connects again after a restart would wait for ever.
 * - If the scope closes, viewers are told to come again before the server stops: a Node server that stops waits for its open
 *   responses, and those of viewers do not end by themselves.
 * - The routes need the services of a server, on Node those of `NodeHttpServer.layerHttpServices`.
 * - Requests are logged, unless `isLogged` is false.
 *
 * **Example** (A server on Node)
 *
 * ```ts
 * import { NodeHttpServer } from "@effect/platform-node"
 * import { RunViewers } from "@effect-baton/http"
 * import type { Layer } from "effect"
 * import type { HttpRouter } from "effect/http"
 * import { createServer } from "node:http"
 *
 * declare const Routes: Layer.Layer<never, never, HttpRouter.HttpRouter | RunViewers.RunViewers>
 *
 * export const Server = RunViewers.serve(Routes, NodeHttpServer.layer(createServer, { port: 3000 }), { max: 500 })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const serve = <A, E, R, P, E2, R2>(
  routes: Layer.Layer<A, E, R>,
  server: Layer.Layer<P | HttpServer.HttpServer, E2, R2>,
  { isLogged = true, ...options }: Options & { readonly isLogged?: boolean } = {}
) => {
  const app = Layer.unwrap(
    Effect.map(HttpRouter.toHttpEffect(routes), (handler) =>
      (isLogged
        ? HttpServer.withLogAddress(HttpServer.serve(handler, HttpMiddleware.logger))
        : HttpServer.serve(handler)
      ).pipe(Layer.provideMerge(server))
    )
  )
  // Built after the server, so closed before it.
  return Layer.effectDiscard(Effect.flatMap(RunViewers, ({ close }) => Effect.addFinalizer(() => close))).pipe(
    Layer.provideMerge(app),
    Layer.provide(layer(options))
  )
}
