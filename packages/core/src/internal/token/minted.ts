import * as Effect from "effect/Effect"

/** Leaves tokens as they are. */
export const plainCodec = {
  seal: (payload: string): Effect.Effect<string> => Effect.succeed(payload),
  open: (text: string): Effect.Effect<string> => Effect.succeed(text)
}

// The token objects that this process made or decoded. An object from elsewhere, for instance from JSON, has bypassed the
// codec, which would have refused it.
const known = new WeakSet()

export const minted = <A extends object>(token: A): A => {
  known.add(token)
  return token
}

export const isMinted = (token: object): boolean => known.has(token)
