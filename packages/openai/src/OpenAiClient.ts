/**
 * The connection to OpenAI or Azure OpenAI: the official SDK's client, set up so that nothing happens behind your back.
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
import OpenAI, { AzureOpenAI, type ClientOptions } from "openai"
import * as Secrets from "./internal/secrets.ts"

/**
 * The SDK's client, and a way to keep its secrets out of texts.
 *
 * **Details**
 *
 * The client never retries by itself: of a create request that would risk buying the same work twice, and elsewhere
 * retries belong to Schedules. It reads no environment variable: what its layer was given counts, and nothing else. It
 * logs nothing. It follows no redirect, because credentials would go along: the error says which base URL to set.
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
    /** Whose it is, for messages. */
    readonly provider: "openai" | "azure"
    /** Takes the client's keys and tokens out of a text, so that it may be logged. */
    readonly redact: (text: string) => string
  }
>()("@effect-baton/openai/OpenAiClient") {}

/**
 * What every client can be given.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClientSettings {
  /** Headers for every request. Redacted ones are kept out of errors. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted>> | undefined
  /** Another `fetch`: one that knows a proxy, or a test's. */
  readonly fetch?: ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) | undefined
  /** How long to wait for an answer's headers. Default 10 minutes, the SDK's; Node's own `fetch` waits 5. */
  readonly timeout?: Duration.Input | undefined
}

/**
 * Where and as whom to call OpenAI.
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
 * Where and as whom to call Azure OpenAI: with a key, or with tokens of Microsoft Entra.
 *
 * **Details**
 *
 * `endpoint` is the resource, as in `https://my-resource.openai.azure.com`. Without an `apiVersion` the v1 API is
 * called; with one, as in `"2025-04-01-preview"`, the dated API. A model's name is that of its deployment. A token
 * provider is asked for a token at every request, so it should keep the token that it has for as long as it is valid.
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

// Settings that stop the SDK from reading the environment: absent ones would.
const fromNowhere = {
  adminAPIKey: null,
  organization: null,
  project: null,
  webhookSecret: null,
  logLevel: "off",
  maxRetries: 0
} as const

// `OPENAI_CUSTOM_HEADERS` is added to the given headers by the SDK's constructor, whatever they are. Taken out again here.
class BatonOpenAI extends OpenAI {
  constructor(options: ClientOptions) {
    super(options)
    this._options.defaultHeaders = options.defaultHeaders
  }

  // A base URL that lacks the API's path gives a 404 whose text does not help. If the answer has a code, that says what was
  // not found, and it is not the path.
  protected override makeStatusError(...answer: Parameters<OpenAI["makeStatusError"]>) {
    const error = super.makeStatusError(...answer)
    const base = this.baseURL.replace(/[?#].*$/, "").replace(/\/+$/, "")
    if (error.status !== 404 || Boolean(error.code) || base.endsWith("/v1")) return error
    const { error: body } = error
    const told = typeof body === "object" && "message" in body && typeof body.message === "string" ? body : undefined
    const message =
      `Check the base URL, '${base}': it must be the URL before '/responses', and that usually ends in '/v1'. ` +
      `The server said: ${told?.message ?? error.message}`
    return Object.assign(error, { message }, told === undefined ? undefined : { error: { ...told, message } })
  }
}

class BatonAzureOpenAI extends AzureOpenAI {
  constructor(options: ConstructorParameters<typeof AzureOpenAI>[0]) {
    super(options)
    this._options.defaultHeaders = options?.defaultHeaders
  }
}

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
  // A URL with credentials is not repeated.
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
  // Keys from files and secret stores often end in a line break, which no header can hold.
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
    // A redirect may lead to another origin, and headers of any name, the keys of Azure among them, would go along.
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
          description: secrets.redact(error instanceof Error ? error.message : "the client cannot be made")
        })
      )
  })

/**
 * A client for OpenAI, or for anything else that speaks its Responses API.
 *
 * **When to use**
 *
 * Where the key comes from somewhere else than the configuration; `layerConfig` reads it there.
 *
 * **Details**
 *
 * Fails with an `AiError` where the base URL is none, or the key is empty.
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

// A missing variable and an empty one are the same mistake. The error names the variable, and never the value.
const required = (name: string, what: string): Config.Config<Redacted.Redacted> =>
  Config.flatMap(Config.withDefault(Config.Redacted(name), Redacted.make("")), (value) =>
    Redacted.value(value).trim() === ""
      ? Config.fail(new ConfigProvider.SourceError({ message: `No ${what}: set ${name}.` }))
      : Config.succeed(value)
  )

// As the SDK reads it, so that a gateway which is set up for the SDK gets all requests.
const environmentUrl = Config.map(
  Config.withDefault(Config.String("OPENAI_BASE_URL"), ""),
  (url): string | undefined => url.trim() || undefined
)

const optional = <A>(config: Config.Config<A> | undefined): Config.Config<A | undefined> =>
  config === undefined ? Config.succeed(undefined) : config

/**
 * A client for OpenAI from the configuration: by default `OPENAI_API_KEY`, and `OPENAI_BASE_URL` if it is set.
 *
 * **Details**
 *
 * `OPENAI_BASE_URL` is the URL of a gateway or another server, up to `/responses`: `https://gateway.example/v1`, say. As in
 * the official SDK, `/v1` is not added, and an empty value counts as none. A `baseUrl` that is given counts instead. No
 * other variable is read: give `organization` and `project` if your account needs them.
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

// People paste the endpoint with the path that the portal shows.
const resource = (endpoint: string): string => endpoint.replace(/\/openai(\/v1)?$/, "")

/**
 * A client for Azure OpenAI.
 *
 * **Details**
 *
 * Fails with an `AiError` where the endpoint is not a URL, or the key is empty. A token provider that fails makes the
 * request fail, before it is sent, with an `AuthenticationError`.
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
              // Null and the empty text, because absent ones are read from the environment.
              baseURL: null,
              apiKey: key ?? "",
              ...(key === undefined ? { azureADTokenProvider: token } : undefined)
            })
      )
    })
  )

/**
 * A client for Azure OpenAI from the configuration: `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY`, and for a dated API
 * `OPENAI_API_VERSION`.
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
