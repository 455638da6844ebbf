/**
 * For tests: a scripted model that runs under `TestClock`, places at which a test can kill a process, and test suites for
 * token stores, update logs and background models.
 *
 * @since 0.1.0
 */
export * as BackgroundModelContract from "./BackgroundModelContract.ts"
export * as Failpoint from "./Failpoint.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as TokenStoreContract from "./TokenStoreContract.ts"
export * as UpdateLogContract from "./UpdateLogContract.ts"
