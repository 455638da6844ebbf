/**
 * Baton's background model for OpenAI and Azure OpenAI.
 *
 * @since 0.1.0
 */
export * as OpenAiBackgroundModel from "./OpenAiBackgroundModel.ts"
export * as OpenAiClient from "./OpenAiClient.ts"
export * as OpenAiWebhooks from "./OpenAiWebhooks.ts"
