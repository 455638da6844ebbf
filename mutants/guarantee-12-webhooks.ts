import type { Mutant } from "./Mutant.ts"

// Webhooks: who may wake a run, and that the sandbox sends what OpenAI sends.
const verifying = "test/openai/Webhooks.test.ts"
const running = "test/openai/WebhooksRuns.test.ts"
const sending = "test/sandbox/WebhooksSent.test.ts"

export default [
  {
    id: "webhook-wakes-nobody",
    guarantee: 12,
    breaks: "a run that is polled ends when its event comes",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "Effect.mapError(Runs.wake(responseId), (error) => new WebhookNotHandled({ responseId, error }))",
    replace: "Effect.succeed(Option.none<RunId>())",
    test: running,
    title: "Agent.result"
  },
  {
    id: "webhook-unverified",
    guarantee: 12,
    breaks: "an event with a signature that does not fit is refused",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "yield* Effect.mapError(Signature.checkSignature(client, secrets, body, signed), refuse)",
    replace: "",
    test: running,
    title: "forged"
  },
  {
    id: "webhook-ageless",
    guarantee: 12,
    breaks: "an event that is too old is refused",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "yield* Effect.mapError(Signature.checkTime(signed, tolerance), refuse)",
    replace: "",
    test: running,
    title: "forged"
  },
  {
    id: "webhook-from-the-future",
    guarantee: 12,
    breaks: "an event that is signed in the future is refused",
    file: "packages/openai/src/internal/webhookSignature.ts",
    find: 'if (age < -limit) return yield* Effect.fail("early" as const)',
    replace: "",
    test: verifying
  },
  {
    id: "webhook-clock-of-the-machine",
    guarantee: 12,
    breaks: "the age of an event is by the clock of the program",
    file: "packages/openai/src/internal/webhookSignature.ts",
    find: "Number.POSITIVE_INFINITY",
    replace: "300",
    test: verifying
  },
  {
    id: "webhook-tolerance-fixed",
    guarantee: 12,
    breaks: "the age that is allowed can be set",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: 'options.tolerance ?? "5 minutes"',
    replace: '"5 minutes"',
    test: verifying
  },
  {
    id: "webhook-without-headers",
    guarantee: 12,
    breaks: "headers that are absent or empty are refused as such",
    file: "packages/openai/src/internal/webhookSignature.ts",
    find: ': /^[\\x21-\\x7e][\\x20-\\x7e]*$/).test(found[name] ?? "")',
    replace: ': /^/).test(found[name] ?? "")',
    test: verifying
  },
  {
    id: "webhook-headers-by-case",
    guarantee: 12,
    breaks: "the names of headers count in any case",
    file: "packages/openai/src/internal/webhookSignature.ts",
    find: "one === name.toLowerCase()",
    replace: "one === name",
    test: verifying
  },
  {
    id: "webhook-first-secret-only",
    guarantee: 12,
    breaks: "each of several secrets counts",
    file: "packages/openai/src/internal/webhookSignature.ts",
    find: "secrets.map((secret)",
    replace: "secrets.slice(0, 1).map((secret)",
    test: verifying
  },
  {
    id: "webhook-secret-empty",
    guarantee: 12,
    breaks: "a missing secret fails the layer",
    file: "packages/openai/src/internal/webhookSecrets.ts",
    find: 'if (secrets.length === 0 || secrets.includes(""))',
    replace: "if (secrets.length === 0)",
    test: verifying
  },
  {
    id: "webhook-secret-useless",
    guarantee: 12,
    breaks: "a secret without a key fails the layer",
    file: "packages/openai/src/internal/webhookSecrets.ts",
    find: "!secrets.every(isUsable)",
    replace: "false",
    test: verifying
  },
  {
    id: "webhook-secret-unset",
    guarantee: 12,
    breaks: "an unset variable is named",
    file: "packages/openai/src/internal/webhookSecrets.ts",
    find: 'Redacted.value(secret).trim() === "" ?',
    replace: "false ?",
    test: verifying
  },
  {
    id: "webhook-secret-shown",
    guarantee: 12,
    breaks: "no error shows a secret",
    file: "packages/openai/src/internal/webhookSecrets.ts",
    find: "description: \"The given webhook secret has no base64 after 'whsec_'. Copy it again from the webhook's settings.\"",
    replace: "description: `The given webhook secret has no base64 after 'whsec_': ${secrets.join()}`",
    test: verifying
  },
  {
    id: "webhook-body-shown",
    guarantee: 12,
    breaks: "no error shows the body",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "yield* Effect.mapError(Signature.checkSignature(client, secrets, body, signed), refuse)",
    replace:
      'yield* Effect.mapError(Signature.checkSignature(client, secrets, body, signed), () => new WebhookInvalid({ kind: "signature", description: body }))',
    test: verifying
  },
  {
    id: "webhook-other-kinds-refused",
    guarantee: 12,
    breaks: "an event of another kind is no error",
    file: "packages/openai/src/internal/webhookEvent.ts",
    find: 'type.startsWith("response.")',
    replace: 'type !== ""',
    test: verifying
  },
  {
    id: "webhook-store-failure-lasts",
    guarantee: 12,
    breaks: "while the store is away, the event comes again",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "get isRetryable(): boolean { return true }",
    replace: "get isRetryable(): boolean { return false }",
    test: running,
    title: "503"
  },
  {
    id: "webhook-store-failure-hidden",
    guarantee: 12,
    breaks: "an event is not accepted while the store is away",
    file: "packages/openai/src/OpenAiWebhooks.ts",
    find: "Effect.mapError(Runs.wake(responseId), (error) => new WebhookNotHandled({ responseId, error }))",
    replace: "Effect.orElseSucceed(Runs.wake(responseId), () => Option.none<RunId>())",
    test: running,
    title: "503"
  },
  {
    id: "webhook-sent-once",
    guarantee: 12,
    breaks: "the sandbox sends a message again that was not accepted",
    file: "packages/sandbox/src/internal/server/webhook.ts",
    find: "yield* Effect.retry(tried, repeats)",
    replace: "yield* tried",
    test: sending
  },
  {
    id: "webhook-waited-for",
    guarantee: 12,
    breaks: "the sandbox sends a message again that nobody answers",
    file: "packages/sandbox/src/internal/server/webhook.ts",
    find: ', Effect.timeout("10 seconds")',
    replace: "",
    test: sending
  },
  {
    id: "webhook-follows-redirects",
    guarantee: 12,
    breaks: "the sandbox follows no redirect",
    file: "packages/sandbox/src/internal/server/webhook.ts",
    find: 'redirect: "manual"',
    replace: 'redirect: "follow"',
    test: sending
  },
  {
    id: "webhook-signed-once",
    guarantee: 12,
    breaks: "each attempt of the sandbox has a signature of its time",
    edits: [
      {
        file: "packages/sandbox/src/internal/server/webhook.ts",
        find: "const attempt = Effect.gen(function* () {",
        replace: "const at = yield* seconds\nconst attempt = Effect.gen(function* () {"
      },
      {
        file: "packages/sandbox/src/internal/server/webhook.ts",
        find: "const timestamp = yield* seconds",
        replace: "const timestamp = at"
      }
    ],
    test: sending
  },
  {
    id: "webhook-copies-unset",
    guarantee: 12,
    breaks: "the trouble sends a message twice, or never",
    file: "packages/sandbox/src/internal/server/responses.ts",
    find: 'troubles.strike("Webhook")?.copies ?? 1',
    replace: "1",
    test: sending
  }
] satisfies ReadonlyArray<Mutant>
