/**
 * Test doubles for Baton: a scripted model for tests under `TestClock`, and a sandbox Responses server on loopback; and
 * what every token store and every background model promises, as tests.
 *
 * @since 0.1.0
 */
export * as BackgroundModelContract from "./BackgroundModelContract.ts"
export * as Failpoint from "./Failpoint.ts"
export * as RedisServer from "./RedisServer.ts"
export * as ResponseScript from "./ResponseScript.ts"
export * as ResponsesServer from "./ResponsesServer.ts"
export * as SalesAnalyst from "./SalesAnalyst.ts"
export * as SandboxLedger from "./SandboxLedger.ts"
export * as SandboxTrouble from "./SandboxTrouble.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as TokenStoreContract from "./TokenStoreContract.ts"
export * as Transcript from "./Transcript.ts"
