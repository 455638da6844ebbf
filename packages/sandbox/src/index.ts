/**
 * Servers for tests and demonstrations on your own machine: a Responses API with a small sales analyst, and Redis.
 *
 * @since 0.1.0
 */
export * as RedisServer from "./RedisServer.ts"
export * as ResponseScript from "./ResponseScript.ts"
export * as ResponsesServer from "./ResponsesServer.ts"
export * as SalesAnalyst from "./SalesAnalyst.ts"
export * as SandboxLedger from "./SandboxLedger.ts"
export * as SandboxTrouble from "./SandboxTrouble.ts"
export * as Transcript from "./Transcript.ts"
