// Hand a continuation token to a browser. A plain token is readable: whoever holds one could write another, which names the
// run of somebody else. With `SignedTokens` the service accepts only what it signed itself, for this user.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, ContinuationToken, SignedTokens, TokenStore } from "@effect-baton/core"
import { Config, Console, Data, Effect, Layer, Option, Redacted, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

class NoToken extends Data.TaggedError("NoToken")<{ readonly message: string }> {}

const signedBy = (secret: Redacted.Redacted) =>
  SignedTokens.layer({ keys: [{ id: "2026", secret }], audience: "user-42", expiresAfter: "1 day" })

// In production the secret is 32 random bytes or more, and comes from the environment.
const Tokens = Layer.unwrap(
  Effect.map(
    Config.Redacted("TOKEN_SECRET").pipe(Config.withDefault(Redacted.make("a secret for this example alone"))),
    signedBy
  )
)

/** What a browser gets that sends a token. */
const request = (token: string) =>
  Agent.watch(analyst, { continuationToken: token }).pipe(
    Stream.runFold(
      () => "",
      (text, update) => text + update.text
    ),
    Effect.flatMap((text) => Console.log(`accepted: the other ${text.length} characters of the report`)),
    Effect.catchReason("AgentError", "TokenInvalid", ({ kind, message }) =>
      Console.log(`refused (${kind}): ${message}`)
    )
  )

const program = Effect.gen(function* () {
  const last = yield* Agent.stream(analyst, { input: yield* task }).pipe(Stream.take(100), Stream.runLast)
  const position = Option.flatMap(last, (update) => update.continuationToken)
  if (Option.isNone(position)) return yield* new NoToken({ message: "The run was over too soon." })

  // The browser gets a text, and sends it back when its connection was lost.
  const token = yield* ContinuationToken.encode(position.value)
  yield* Console.log(`the browser has a token of ${token.length} characters: ${token.slice(0, 24)}…`)
  yield* request(token)

  yield* Console.log("one letter is changed:")
  yield* request(token.slice(0, 50) + (token[50] === "A" ? "B" : "A") + token.slice(51))

  yield* Console.log("a token is made without the secret:")
  const guessed = Layer.orDie(signedBy(Redacted.make("a guessed secret")))
  yield* request(yield* ContinuationToken.encode(position.value).pipe(Effect.provide(guessed)))
})

program.pipe(Effect.provide([Model, Tokens, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
