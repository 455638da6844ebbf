/**
 * Baton's runs over HTTP.
 *
 * @since 0.1.0
 */
export * as RunAccess from "./RunAccess.ts"
export * as RunCall from "./RunCall.ts"
export * as RunProblem from "./RunProblem.ts"
export * as RunsApi from "./RunsApi.ts"
export * as RunsServer from "./RunsServer.ts"
export * as RunViewers from "./RunViewers.ts"
export * as RunWebhook from "./RunWebhook.ts"
export * as RunWire from "./RunWire.ts"
