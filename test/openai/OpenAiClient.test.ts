import { BackgroundModel } from "@effect-baton/core/BackgroundModel"
import { OpenAiBackgroundModel, OpenAiClient } from "@effect-baton/openai"
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Layer, Redacted } from "effect"
import type { AiError } from "effect/ai"
import OpenAI from "openai"
import { answers, heard, key, reasonOf, request, response } from "./support.ts"

type Client = Layer.Layer<OpenAiClient.OpenAiClient, Config.ConfigError | AiError.AiError>

/** The request that a client makes, taken from its `fetch`. */
const sent = (client: (fetch: NonNullable<OpenAiClient.ClientSettings["fetch"]>) => Client) =>
  Effect.gen(function* () {
    const requests: Array<{ readonly url: URL; readonly headers: Headers; readonly body: unknown }> = []
    const fetch: NonNullable<OpenAiClient.ClientSettings["fetch"]> = (input, init) => {
      requests.push({
        url: new URL(input instanceof Request ? input.url : input),
        headers: new Headers(init?.headers),
        body: typeof init?.body === "string" ? JSON.parse(init.body) : undefined
      })
      return answers(200, response())(input, init)
    }
    const model = yield* Effect.provide(
      BackgroundModel,
      Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client(fetch))
    )
    yield* model.submit(request())
    const [first] = requests
    assert.strictEqual(requests.length, 1)
    return first!
  })

const withEnv = (env: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env }))

const failure = (client: Client) => Effect.flip(Effect.scoped(Layer.build(client)))

/** Sets the process's environment, which the SDK reads, for as long as the effect runs. */
const inEnvironment =
  (env: Record<string, string>) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>) =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        const before = Object.keys(env).map((name) => [name, process.env[name]] as const)
        Object.assign(process.env, env)
        return before
      }),
      () => effect,
      (before) =>
        Effect.sync(() => {
          for (const [name, value] of before) {
            if (value === undefined) delete process.env[name]
            else process.env[name] = value
          }
        })
    )

describe("OpenAiClient.layer", () => {
  it.effect("calls OpenAI with the key, the organization, the project and the headers", () =>
    Effect.gen(function* () {
      const { headers, url } = yield* sent((fetch) =>
        OpenAiClient.layer({
          apiKey: Redacted.make(`${key}\n`),
          organization: "org-1",
          project: "proj-1",
          headers: { "x-team": "reports", "x-gateway": Redacted.make("gateway-secret") },
          fetch
        })
      )
      assert.strictEqual(url.href, "https://api.openai.com/v1/responses")
      assert.strictEqual(headers.get("authorization"), `Bearer ${key}`)
      assert.strictEqual(headers.get("openai-organization"), "org-1")
      assert.strictEqual(headers.get("openai-project"), "proj-1")
      assert.strictEqual(headers.get("x-team"), "reports")
      assert.strictEqual(headers.get("x-gateway"), "gateway-secret")
    })
  )

  it.effect.each(["http://localhost:8000/v1", "http://localhost:8000/v1/", new URL("http://localhost:8000/v1")])(
    "takes the base URL %s",
    (baseUrl) =>
      Effect.gen(function* () {
        const { url } = yield* sent((fetch) => OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl, fetch }))
        assert.strictEqual(url.href, "http://localhost:8000/v1/responses")
      })
  )

  it.effect.each(["localhost:8000", "api.openai.com/v1", "", "ftp://files", "https://user:hunter2pass@host/v1"])(
    "refuses the base URL '%s', and says what to give",
    (baseUrl) =>
      Effect.gen(function* () {
        const error = yield* failure(OpenAiClient.layer({ apiKey: Redacted.make(key), baseUrl }))
        assert.strictEqual(reasonOf(error)?._tag, "InvalidRequestError")
        assert.include(error.message, "baseUrl")
        assert.include(error.message, "Give an absolute URL without credentials, such as https://api.openai.com/v1")
        assert.notInclude(error.message, "hunter2pass")
      })
  )

  it.effect.each(["", "  \n"])("refuses the empty key %j", (apiKey) =>
    Effect.gen(function* () {
      const reason = reasonOf(yield* failure(OpenAiClient.layer({ apiKey: Redacted.make(apiKey) })))
      assert.strictEqual(reason?._tag, "AuthenticationError")
      assert.strictEqual(reason?._tag === "AuthenticationError" && reason.kind, "MissingKey")
    })
  )

  it.effect("counts what it was given, and nothing of the environment", () =>
    Effect.gen(function* () {
      const { headers, url } = yield* sent((fetch) => OpenAiClient.layer({ apiKey: Redacted.make(key), fetch }))
      assert.strictEqual(url.href, "https://api.openai.com/v1/responses")
      assert.strictEqual(headers.get("authorization"), `Bearer ${key}`)
      assert.isNull(headers.get("openai-organization"))
      assert.isNull(headers.get("openai-project"))
      assert.isNull(headers.get("x-custom"))
    }).pipe(
      inEnvironment({
        OPENAI_API_KEY: "sk-of-the-environment",
        OPENAI_ADMIN_KEY: "sk-admin-of-the-environment",
        OPENAI_ORG_ID: "org-of-the-environment",
        OPENAI_PROJECT_ID: "proj-of-the-environment",
        OPENAI_BASE_URL: "https://environment.test/v1",
        OPENAI_CUSTOM_HEADERS: "x-custom: environment",
        OPENAI_LOG: "debug"
      })
    )
  )
})

describe("OpenAiClient.layerConfig", () => {
  it.effect("reads the key, and neither the organization nor the project by default", () =>
    Effect.gen(function* () {
      const { headers, url } = yield* sent((fetch) => OpenAiClient.layerConfig({ fetch }))
      assert.strictEqual(headers.get("authorization"), `Bearer ${key}`)
      assert.strictEqual(url.href, "https://api.openai.com/v1/responses")
      assert.isNull(headers.get("openai-organization"))
      assert.isNull(headers.get("openai-project"))
    }).pipe(withEnv({ OPENAI_API_KEY: key, OPENAI_ORG_ID: "org-other", OPENAI_PROJECT_ID: "proj-other" }))
  )

  it.effect.each([
    ["https://gateway.test/v1", "https://gateway.test/v1/responses"],
    [" https://gateway.test/v1/\n", "https://gateway.test/v1/responses"],
    ["https://gateway.test/", "https://gateway.test/responses"],
    ["", "https://api.openai.com/v1/responses"],
    [" ", "https://api.openai.com/v1/responses"]
  ] as const)("calls the OPENAI_BASE_URL %j, as the SDK does", ([base, expected]) =>
    Effect.gen(function* () {
      const { headers, url } = yield* sent((fetch) => OpenAiClient.layerConfig({ fetch }))
      assert.strictEqual(url.href, expected)
      assert.strictEqual(headers.get("authorization"), `Bearer ${key}`)
      // The SDK by itself takes the same one.
      const sdk = yield* Effect.sync(() => new OpenAI({ apiKey: key }).baseURL).pipe(
        inEnvironment({ OPENAI_BASE_URL: base })
      )
      assert.strictEqual(`${sdk.replace(/\/$/, "")}/responses`, expected)
    }).pipe(withEnv({ OPENAI_API_KEY: key, OPENAI_BASE_URL: base }))
  )

  it.effect("a base URL that the caller gives counts, and not OPENAI_BASE_URL", () =>
    Effect.gen(function* () {
      const { url } = yield* sent((fetch) =>
        OpenAiClient.layerConfig({ baseUrl: Config.succeed("https://given.test/v1"), fetch })
      )
      assert.strictEqual(url.href, "https://given.test/v1/responses")
    }).pipe(withEnv({ OPENAI_API_KEY: key, OPENAI_BASE_URL: "https://gateway.test/v1" }))
  )

  it.effect.each(["localhost:8787", "gateway", "https://user:hunter2pass@gateway.test/v1"])(
    "names OPENAI_BASE_URL if it cannot be %s",
    (base) =>
      Effect.gen(function* () {
        const error = yield* failure(OpenAiClient.layerConfig())
        assert.strictEqual(error._tag, "AiError")
        assert.include(error.message, "OPENAI_BASE_URL")
        assert.include(error.message, "Give an absolute URL without credentials")
        assert.notInclude(error.message, "hunter2pass")
        assert.notInclude(error.message, key)
      }).pipe(withEnv({ OPENAI_API_KEY: key, OPENAI_BASE_URL: base }))
  )

  it.effect("reads what it is told to", () =>
    Effect.gen(function* () {
      const { headers, url } = yield* sent((fetch) =>
        OpenAiClient.layerConfig({
          apiKey: Config.Redacted("ACME_KEY"),
          baseUrl: Config.String("ACME_URL"),
          organization: Config.String("ACME_ORG"),
          project: Config.String("ACME_PROJECT"),
          fetch
        })
      )
      assert.strictEqual(headers.get("authorization"), "Bearer sk-of-acme")
      assert.strictEqual(url.href, "https://acme.test/responses")
      assert.strictEqual(headers.get("openai-organization"), "org-acme")
      assert.strictEqual(headers.get("openai-project"), "proj-acme")
    }).pipe(
      withEnv({
        ACME_KEY: "sk-of-acme",
        ACME_URL: "https://acme.test",
        ACME_ORG: "org-acme",
        ACME_PROJECT: "proj-acme"
      })
    )
  )

  it.effect.each([{}, { OPENAI_API_KEY: "" }])("says which variable to set where there is %j", (env) =>
    Effect.gen(function* () {
      const error = yield* failure(OpenAiClient.layerConfig())
      assert.strictEqual(error._tag, "ConfigError")
      assert.include(error.message, "set OPENAI_API_KEY")
    }).pipe(withEnv(env))
  )
})

describe("OpenAiClient.layerAzure", () => {
  const apiKey = Redacted.make("azure-key-0123456789")

  it.effect.each([
    "https://acme.openai.azure.com",
    "https://acme.openai.azure.com/",
    "https://acme.openai.azure.com/openai/v1/"
  ])("calls the v1 API of %s", (endpoint) =>
    Effect.gen(function* () {
      const { body, headers, url } = yield* sent((fetch) => OpenAiClient.layerAzure({ endpoint, apiKey, fetch }))
      assert.strictEqual(url.href, "https://acme.openai.azure.com/openai/v1/responses")
      assert.strictEqual(headers.get("authorization"), "Bearer azure-key-0123456789")
      assert.deepInclude(body, { model: "gpt-test" })
    })
  )

  it.effect("calls the dated API with a key", () =>
    Effect.gen(function* () {
      const { body, headers, url } = yield* sent((fetch) =>
        OpenAiClient.layerAzure({
          endpoint: "https://acme.openai.azure.com/",
          apiKey,
          apiVersion: "2025-04-01-preview",
          fetch
        })
      )
      assert.strictEqual(url.href, "https://acme.openai.azure.com/openai/responses?api-version=2025-04-01-preview")
      assert.strictEqual(headers.get("api-key"), "azure-key-0123456789")
      assert.isNull(headers.get("authorization"))
      assert.deepInclude(body, { model: "gpt-test" })
    }).pipe(
      inEnvironment({
        OPENAI_BASE_URL: "https://environment.test/v1",
        AZURE_OPENAI_API_KEY: "of-the-environment",
        AZURE_OPENAI_ENDPOINT: "https://environment.test",
        OPENAI_API_VERSION: "1999-01-01",
        OPENAI_CUSTOM_HEADERS: "api-key: of-the-environment"
      })
    )
  )

  it.effect.each([undefined, "2025-04-01-preview"])(
    "asks for a token at every request (api version %s)",
    (apiVersion) =>
      Effect.gen(function* () {
        let asked = 0
        const token = Effect.sync(() => Redacted.make(`token-${++asked}`))
        for (const tokenProvider of [token, () => Effect.runPromise(token)]) {
          const { headers } = yield* sent((fetch) =>
            OpenAiClient.layerAzure({ endpoint: "https://acme.test", tokenProvider, apiVersion, fetch })
          )
          assert.strictEqual(headers.get("authorization"), `Bearer token-${asked}`)
          assert.isNull(headers.get("api-key"))
        }
        assert.strictEqual(asked, 2)
      }).pipe(inEnvironment({ AZURE_OPENAI_API_KEY: "of-the-environment" }))
  )

  it.effect("a token that cannot be had is an AuthenticationError, before anything is sent", () =>
    Effect.gen(function* () {
      let calls = 0
      const client = OpenAiClient.layerAzure({
        endpoint: "https://acme.test",
        tokenProvider: Effect.fail(new Error("the identity service is down")),
        fetch: () => {
          calls += 1
          return Promise.reject(new Error("unexpected"))
        }
      })
      const model = yield* Effect.provide(
        BackgroundModel,
        Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client)
      )
      const { error } = yield* heard(model.create(request()))
      assert.strictEqual(error?._tag, "AiError")
      assert.strictEqual(reasonOf(error)?._tag, "AuthenticationError")
      assert.include(error?.message, "the identity service is down")
      assert.strictEqual(calls, 0)
    })
  )

  it.effect("refuses an endpoint that is no URL", () =>
    Effect.gen(function* () {
      const error = yield* failure(OpenAiClient.layerAzure({ endpoint: "acme", apiKey }))
      assert.include(error.message, "endpoint 'acme' is not a URL")
    })
  )

  it.effect("layerAzureConfig reads Azure's variables, and names the missing one", () =>
    Effect.gen(function* () {
      const env = { AZURE_OPENAI_ENDPOINT: "https://acme.test", AZURE_OPENAI_API_KEY: "azure-key-0123456789" }
      const v1 = yield* sent((fetch) => OpenAiClient.layerAzureConfig({ fetch })).pipe(withEnv(env))
      assert.strictEqual(v1.url.href, "https://acme.test/openai/v1/responses")
      const dated = yield* sent((fetch) => OpenAiClient.layerAzureConfig({ fetch })).pipe(
        withEnv({ ...env, OPENAI_API_VERSION: "2025-04-01-preview" })
      )
      assert.strictEqual(dated.url.search, "?api-version=2025-04-01-preview")
      for (const missing of Object.keys(env)) {
        const error = yield* failure(OpenAiClient.layerAzureConfig()).pipe(withEnv({ ...env, [missing]: "" }))
        assert.strictEqual(error._tag, "ConfigError")
        assert.include(error.message, `set ${missing}`)
      }
    })
  )
})

describe("secrets", () => {
  it.effect("no key is in an error, its encoding, or a log of it", () =>
    Effect.gen(function* () {
      const echo = { error: { message: `Incorrect API key provided: ${key}.`, code: "invalid_api_key" } }
      const client = OpenAiClient.layer({
        apiKey: Redacted.make(key),
        baseUrl: `https://api.test/${key}/v1?sig=${key}`,
        fetch: answers(401, echo, { "x-request-id": `req-${key}` })
      })
      const model = yield* Effect.provide(
        BackgroundModel,
        Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client)
      )
      const { error } = yield* heard(model.create(request()))
      assert.strictEqual(reasonOf(error)?._tag, "AuthenticationError")
      assert.include(error?.message, "Incorrect API key provided: <redacted>.")
      const texts = [String(error), JSON.stringify(error), (error as Error).stack, JSON.stringify(reasonOf(error))]
      for (const text of texts) assert.notInclude(text, key)
    })
  )

  it.effect("a key that no header can hold is not repeated", () =>
    Effect.gen(function* () {
      const client = OpenAiClient.layer({ apiKey: Redacted.make("sk-ünicode-ключ-1234") })
      const model = yield* Effect.provide(
        BackgroundModel,
        Layer.provide(OpenAiBackgroundModel.layer({ model: "gpt-test" }), client)
      )
      const { error } = yield* heard(model.create(request()))
      assert.strictEqual(error?._tag, "AiError")
      assert.notInclude(error?.message, "ключ")
    })
  )
})
