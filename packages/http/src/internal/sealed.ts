import { TokenCodec } from "@effect-baton/core/ContinuationToken"
import { Session } from "@effect-baton/core/Session"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Base64Url from "effect/encoding/Base64Url"
import { TokenRefused } from "../RunProblem.ts"

// No continuation token begins so, and no session without it.
const prefix = "session."

const Json = Schema.fromJsonString(Session)
const encode = Schema.encodeEffect(Json)
const decode = Schema.decodeEffect(Json)

/** A session as clients get it: signed, as tokens are. */
export const seal = Effect.fnUntraced(function* (session: Session) {
  const codec = yield* TokenCodec
  return yield* codec.seal(`${prefix}${Base64Url.encode(yield* Effect.orDie(encode(session)))}`)
})

/** The session that a client was given. */
export const unseal = Effect.fnUntraced(function* (text: string): Effect.fn.Return<Session, TokenRefused> {
  const codec = yield* TokenCodec
  const payload = yield* codec.open(text).pipe(Effect.mapError(({ kind }) => new TokenRefused({ kind, detail: what })))
  const malformed = new TokenRefused({ kind: "malformed", detail: what })
  if (!payload.startsWith(prefix)) return yield* malformed
  return yield* Effect.fromResult(Base64Url.decodeString(payload.slice(prefix.length))).pipe(
    Effect.flatMap(decode),
    Effect.mapError(() => malformed)
  )
})

const what = "The session is none that this service gave."
