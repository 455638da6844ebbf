import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as AiError from "effect/ai/AiError"

const invalid = (reason: AiError.AiErrorReason) => AiError.make({ module: "OpenAiWebhooks", method: "layer", reason })

// The part after `whsec_` is the key as base64, which the SDK also takes without padding. Without a key it verifies nothing.
const isUsable = (secret: string): boolean =>
  !secret.startsWith("whsec_") || /^[\w+/-]{2,}={0,2}$/.test(secret.slice(6))

/** Checks the secrets of an endpoint, so that a wrong one is found before the first event. No error shows a secret. */
export const checked = Effect.fnUntraced(function* (
  given: Redacted.Redacted | ReadonlyArray<Redacted.Redacted>
): Effect.fn.Return<ReadonlyArray<string>, AiError.AiError> {
  // Secrets from files and secret stores often end in a line break.
  const secrets = (Redacted.isRedacted(given) ? [given] : given).map((secret) => Redacted.value(secret).trim())
  if (secrets.length === 0 || secrets.includes("")) {
    return yield* invalid(
      new AiError.AuthenticationError({ kind: "MissingKey", description: "The given webhook secret is empty." })
    )
  }
  if (!secrets.every(isUsable)) {
    return yield* invalid(
      new AiError.InvalidRequestError({
        parameter: "secret",
        description: "The given webhook secret has no base64 after 'whsec_'. Copy it again from the webhook's settings."
      })
    )
  }
  return secrets
})

/** The secret in `OPENAI_WEBHOOK_SECRET`. An empty variable counts as missing. */
export const fromEnvironment: Config.Config<Redacted.Redacted> = Config.flatMap(
  Config.withDefault(Config.Redacted("OPENAI_WEBHOOK_SECRET"), Redacted.make("")),
  (secret) =>
    Redacted.value(secret).trim() === ""
      ? Config.fail(
          new ConfigProvider.SourceError({ message: "No secret of the OpenAI webhook: set OPENAI_WEBHOOK_SECRET." })
        )
      : Config.succeed(secret)
)
