/**
 * The connection to OpenAI or Azure OpenAI: the official SDK's client, without hidden retries, redirects or settings.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as AiError from "effect/ai/AiError"
import type OpenAI from "openai"
import { BatonAzureOpenAI, BatonOpenAI, fromNowhere } from "./internal/sdkClients.ts"
import * as Secrets from "./internal/secrets.ts"

/**
 * The SDK's client, and a way to remove its secrets from texts.
 *
 * **Details**
 *
 * The client never retries: a second create request could buy the same work twice, and other retries belong to Schedules. It
 * uses only the options of its layer, and reads no environment variables. It logs nothing. It follows no redirects, because
 * they would carry the credentials: the error says which base URL to set.
 *
 * **Example** (Another call of the API)
 *
 * ```ts
 * import { OpenAiClient } from "@effect-baton/openai"
 * import { Effect } from "effect"
 *
 * export const models = Effect.gen(function* () {
 *   const { client } = yield* OpenAiClient.OpenAiClient
 *   return yield* Effect.tryPromise(() => client.models.list())
 * })
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class OpenAiClient extends Context.Service<
  OpenAiClient,
  {
    /** The official SDK's client. */
    readonly client: OpenAI
    /** The provider, for messages. */
    readonly provider: "openai" | "azure"
    /** Removes the client's keys and tokens from a text, so that it can be logged. */
    readonly redact: (text: string) => string
  }
>()("@effect-baton/openai/OpenAiClient") {}

/**
 * The settings that all clients share.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSettings {
  /** Headers for every request. Redacted values are removed from errors. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Another `fetch`, for example with a proxy, or for a test. */
  readonly fetch?: ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) | undefined
  /** How long to wait for the headers of an answer. Default 10 minutes, as in the SDK. Node's own `fetch` waits 5 minutes. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * The address of OpenAI or a compatible server, and the credentials.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends ClientSettings {
  readonly apiKey: Redacted.Redacted
  /**
   * The URL before `/responses`, with the version of the API if the server's path has one, as in
   * `https://gateway.example/v1`. It is used as it is: `/v1` is not added. Default `https://api.openai.com/v1`.
   */
  readonly baseUrl?: string | URL | undefined
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

/**
 * The address of Azure OpenAI, and the credentials: a key, or tokens of Microsoft Entra.
 *
 * **Details**
 *
 * `endpoint` is the resource, as in `https://my-resource.openai.azure.com`. Without an `apiVersion` the client uses the v1
 * API; with one, as in `"2025-04-01-preview"`, the dated API. The name of a model is that of its deployment. The client asks
 * the token provider for a token at every request, so the provider should cache its token for as long as it is valid.
 *
 * @since 0.1.0
 * @category models
 */
export type AzureOptions<R = never> = ClientSettings & {
  readonly endpoint: string | URL
  readonly apiVersion?: string | undefined
} & (
    | { readonly apiKey: Redacted.Redacted; readonly tokenProvider?: undefined }
    | {
        readonly apiKey?: undefined
        readonly tokenProvider:
          | Effect.Effect<string | Redacted.Redacted, unknown, R>
          | (() => Promise<string | Redacted.Redacted>)
      }
  )

const openAiUrl = "https://api.openai.com/v1"

const invalid = (reason: AiError.AiErrorReason) => AiError.make({ module: "OpenAiClient", method: "layer", reason })

const checkedUrl = (option: string, url: string | URL): Effect.Effect<string, AiError.AiError> => {
  const text = String(url).trim()
  const parsed = Result.try(() => new URL(text))
  const wrong = Result.isFailure(parsed)
    ? "is not a URL"
    : !/^https?:$/.test(parsed.success.protocol)
      ? "is not an http or https URL"
      : parsed.success.username !== "" || parsed.success.password !== ""
        ? "holds a user name or password"
        : undefined
  if (wrong === undefined) return Effect.succeed(text.replace(/\/+$/, ""))
  // The error must not show a URL with credentials.
  const shown = wrong.startsWith("holds") ? "" : ` '${text.slice(0, 200)}'`
  return Effect.fail(
    invalid(
      new AiError.InvalidRequestError({
        parameter: option,
        description: `The ${option}${shown} ${wrong}. Give an absolute URL without credentials, such as ${openAiUrl}`
      })
    )
  )
}

const checkedKey = (apiKey: Redacted.Redacted): Effect.Effect<string, AiError.AiError> => {
  // Keys from files and secret stores often end in a line break, which a header cannot contain.
  const key = Redacted.value(apiKey).trim()
  return key === ""
    ? Effect.fail(
        invalid(new AiError.AuthenticationError({ kind: "MissingKey", description: "The given apiKey is empty." }))
      )
    : Effect.succeed(key)
}

const settings = (options: ClientSettings, secrets: Secrets.Secrets) => {
  const headers = Object.entries(options.headers ?? {}).map(([name, value]) => {
    if (!Redacted.isRedacted(value)) return [name, value] as const
    secrets.add(Redacted.value(value))
    return [name, Redacted.value(value)] as const
  })
  return {
    ...fromNowhere,
    defaultHeaders: Object.fromEntries(headers),
    // A redirect may lead to another origin, and would carry headers of any name, such as the key of Azure.
    fetchOptions: { redirect: "manual" as const },
    ...(options.fetch === undefined ? undefined : { fetch: options.fetch }),
    ...(options.timeout === undefined
      ? undefined
      : { timeout: Math.max(1, Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(options.timeout)))) })
  }
}

const construct = (provider: "openai" | "azure", secrets: Secrets.Secrets, make: () => OpenAI) =>
  Effect.try({
    try: () => ({ client: make(), provider, redact: secrets.redact }),
    catch: (error) =>
      invalid(
        new AiError.InvalidRequestError({
          description: secrets.redact(error instanceof Error ? error.message : "the client could not be created")
        })
      )
  })

/**
 * A layer of a client for OpenAI, or for another server with the Responses API.
 *
 * **When to use**
 *
 * Use it if the key does not come from the configuration. Otherwise use `layerConfig`.
 *
 * **Details**
 *
 * Fails with an `AiError` if the base URL is not a URL, or the key is empty.
 *
 * **Example** (A client for a server of your own)
 *
 * ```ts
 * import { OpenAiClient } from "@effect-baton/openai"
 * import { Redacted } from "effect"
 *
 * export const client = OpenAiClient.layer({
 *   apiKey: Redacted.make("unused"),
 *   baseUrl: "http://localhost:8000/v1"
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<OpenAiClient, AiError.AiError> =>
  Layer.effect(
    OpenAiClient,
    Effect.gen(function* () {
      const baseURL = yield* checkedUrl("baseUrl", options.baseUrl ?? openAiUrl)
      const apiKey = yield* checkedKey(options.apiKey)
      const secrets = Secrets.make(apiKey)
      const { organization = null, project = null } = options
      return yield* construct(
        "openai",
        secrets,
        () => new BatonOpenAI({ ...settings(options, secrets), apiKey, baseURL, organization, project })
      )
    })
  )

// An empty variable counts as missing. The error names the variable, and never its value.
const required = (name: string, what: string): Config.Config<Redacted.Redacted> =>
  Config.flatMap(Config.withDefault(Config.Redacted(name), Redacted.make("")), (value) =>
    Redacted.value(value).trim() === ""
      ? Config.fail(new ConfigProvider.SourceError({ message: `No ${what}: set ${name}.` }))
      : Config.succeed(value)
  )

// The SDK reads this variable too: a gateway that is set up for the SDK must get all requests.
const environmentUrl = Config.map(
  Config.withDefault(Config.String("OPENAI_BASE_URL"), ""),
  (url): string | undefined => url.trim() || undefined
)

const optional = <A>(config: Config.Config<A> | undefined): Config.Config<A | undefined> =>
  config === undefined ? Config.succeed(undefined) : config

/**
 * A layer of a client for OpenAI from the configuration: by default `OPENAI_API_KEY`, and `OPENAI_BASE_URL` if it is set.
 *
 * **Details**
 *
 * `OPENAI_BASE_URL` is the URL of a gateway or another server before `/responses`, such as `https://gateway.example/v1`. As
 * in the official SDK, `/v1` is not added, and an empty value counts as missing. The option `baseUrl` replaces it. No other
 * variable is read: set `organization` and `project` if your account needs them.
 *
 * Fails with a `ConfigError` that names the variable to set, and as `layer` does.
 *
 * **Example** (A key under another name)
 *
 * ```ts
 * import { OpenAiClient } from "@effect-baton/openai"
 * import { Config } from "effect"
 *
 * export const client = OpenAiClient.layerConfig({ apiKey: Config.Redacted("ACME_OPENAI_KEY") })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: ClientSettings & {
    readonly apiKey?: Config.Config<Redacted.Redacted> | undefined
    readonly baseUrl?: Config.Config<string | URL> | undefined
    readonly organization?: Config.Config<string> | undefined
    readonly project?: Config.Config<string> | undefined
  } = {}
): Layer.Layer<OpenAiClient, Config.ConfigError | AiError.AiError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const fromEnvironment = options.baseUrl === undefined ? yield* environmentUrl : undefined
      return layer({
        ...options,
        apiKey: yield* options.apiKey ?? required("OPENAI_API_KEY", "API key for OpenAI"),
        baseUrl:
          fromEnvironment === undefined
            ? yield* optional(options.baseUrl)
            : // An error names the variable.
              yield* checkedUrl("OPENAI_BASE_URL", fromEnvironment),
        organization: yield* optional(options.organization),
        project: yield* optional(options.project)
      })
    })
  )

// The portal shows the endpoint with a path, and people copy both.
const resource = (endpoint: string): string => endpoint.replace(/\/openai(\/v1)?$/, "")

/**
 * A layer of a client for Azure OpenAI.
 *
 * **Details**
 *
 * Fails with an `AiError` if the endpoint is not a URL, or the key is empty. If a token provider fails, the request is not
 * sent and fails with an `AuthenticationError`.
 *
 * **Example** (A resource with a key)
 *
 * ```ts
 * import { OpenAiClient } from "@effect-baton/openai"
 * import { Redacted } from "effect"
 *
 * export const client = OpenAiClient.layerAzure({
 *   endpoint: "https://my-resource.openai.azure.com",
 *   apiKey: Redacted.make("the resource's key")
 * })
 * ```
 *
 * @see Azure's documents, "Azure OpenAI in Azure AI Foundry Models v1 API", for the two APIs
 * @since 0.1.0
 * @category layers
 */
export const layerAzure = <R = never>(options: AzureOptions<R>): Layer.Layer<OpenAiClient, AiError.AiError, R> =>
  Layer.effect(
    OpenAiClient,
    Effect.gen(function* () {
      const endpoint = resource(yield* checkedUrl("endpoint", options.endpoint))
      const { apiKey, apiVersion, tokenProvider } = options
      const key = apiKey === undefined ? undefined : yield* checkedKey(apiKey)
      const secrets = Secrets.make(key)
      const services = yield* Effect.context<R>()
      const given = settings(options, secrets)
      const token = () => {
        const provided = Effect.isEffect(tokenProvider)
          ? Effect.runPromiseWith(services)(tokenProvider)
          : (tokenProvider?.() ?? Promise.resolve(""))
        return provided.then((fresh) => {
          const text = Redacted.isRedacted(fresh) ? Redacted.value(fresh) : fresh
          secrets.add(text)
          return text
        })
      }
      return yield* construct("azure", secrets, () =>
        apiVersion === undefined
          ? new BatonOpenAI({ ...given, apiKey: key ?? token, baseURL: `${endpoint}/openai/v1/` })
          : new BatonAzureOpenAI({
              ...given,
              apiVersion,
              endpoint,
              // Null and the empty text, because the SDK reads absent settings from the environment.
              baseURL: null,
              apiKey: key ?? "",
              ...(key === undefined ? { azureADTokenProvider: token } : undefined)
            })
      )
    })
  )

/**
 * A layer of a client for Azure OpenAI from the configuration: `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`, and for a
 * dated API `OPENAI_API_VERSION`.
 *
 * **Details**
 *
 * Fails with a `ConfigError` that names the variable to set, and as `layerAzure` does.
 *
 * **Example** (Azure from the environment)
 *
 * ```ts
 * import { OpenAiClient } from "@effect-baton/openai"
 *
 * export const client = OpenAiClient.layerAzureConfig()
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAzureConfig = (
  options: ClientSettings & {
    readonly endpoint?: Config.Config<string | URL> | undefined
    readonly apiKey?: Config.Config<Redacted.Redacted> | undefined
    readonly apiVersion?: Config.Config<string | undefined> | undefined
  } = {}
): Layer.Layer<OpenAiClient, Config.ConfigError | AiError.AiError> =>
  Layer.unwrap(
    Effect.gen(function* () {
      return layerAzure({
        ...options,
        endpoint: yield* (
          options.endpoint ?? Config.map(required("AZURE_OPENAI_ENDPOINT", "endpoint of Azure OpenAI"), Redacted.value)
        ),
        apiKey: yield* options.apiKey ?? required("AZURE_OPENAI_API_KEY", "API key for Azure OpenAI"),
        apiVersion: yield* options.apiVersion ?? Config.withDefault(Config.String("OPENAI_API_VERSION"), undefined)
      })
    })
  )
