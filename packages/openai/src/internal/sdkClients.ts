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
}

export class BatonAzureOpenAI extends AzureOpenAI {
  constructor(options: ConstructorParameters<typeof AzureOpenAI>[0]) {
    super(options)
    this._options.defaultHeaders = options?.defaultHeaders
  }
}
