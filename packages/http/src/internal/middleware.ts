import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { MaxBodySize } from "effect/http/HttpIncomingMessage"
import { HttpServerRequest } from "effect/http/HttpServerRequest"
import { Authentication, Caller, RunAccess } from "../RunAccess.ts"
import { InputTooLarge, Unauthenticated } from "../RunProblem.ts"
import { BodyLimit } from "../RunsApi.ts"
import { header } from "./problems.ts"

/** Asks for the caller of each request. */
export const authentication: Layer.Layer<Authentication, never, RunAccess> = Layer.effect(
  Authentication,
  Effect.map(RunAccess, ({ authenticate, challenge }) =>
    Authentication.of((handler) =>
      Effect.gen(function* () {
        // No cache keeps an answer for another caller.
        yield* header("cache-control", "no-store")
        const caller = yield* authenticate(yield* HttpServerRequest)
        if (Option.isNone(caller)) {
          yield* header("www-authenticate", challenge)
          return yield* new Unauthenticated()
        }
        return yield* Effect.provideService(handler, Caller, { value: caller.value })
      })
    )
  )
)

/** Refuses bodies that are larger than so many bytes, before they are read. */
export const bodyLimit = (limit: number): Layer.Layer<BodyLimit> =>
  Layer.succeed(
    BodyLimit,
    BodyLimit.of((handler) =>
      Effect.gen(function* () {
        const { headers } = yield* HttpServerRequest
        if (Number(headers["content-length"]) > limit) {
          yield* header("connection", "close")
          return yield* new InputTooLarge({ limit })
        }
        return yield* Effect.provideService(handler, MaxBodySize, ByteSize.bytes(limit))
      })
    )
  )
