import OpenAI, { AzureOpenAI, type ClientOptions } from "openai"

// If these settings are absent, the SDK reads them from the environment.
export const fromNowhere = {
  adminAPIKey: null,
  organization: null,
  project: null,
  webhookSecret: null,
  logLevel: "off",
  maxRetries: 0
} as const

// The SDK's constructor always adds the headers in `OPENAI_CUSTOM_HEADERS`. They are removed here.
export class BatonOpenAI extends OpenAI {
  constructor(options: ClientOptions) {
    super(options)
    this._options.defaultHeaders = options.defaultHeaders
  }

  // A base URL without the path of the API gives a 404 whose text does not help. If the answer has a code, the code says
  // what was not found, and that is not the path.
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

export class BatonAzureOpenAI extends AzureOpenAI {
  constructor(options: ConstructorParameters<typeof AzureOpenAI>[0]) {
    super(options)
    this._options.defaultHeaders = options?.defaultHeaders
  }
}
