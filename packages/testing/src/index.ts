/**
 * For tests: a scripted model that answers under `TestClock`, places at which a process can die, and what every token store,
 * update log and background model promises, as suites.
 *
 * @since 0.1.0
 */
export * as BackgroundModelContract from "./BackgroundModelContract.ts"
export * as Failpoint from "./Failpoint.ts"
export * as ScriptedModel from "./ScriptedModel.ts"
export * as TokenStoreContract from "./TokenStoreContract.ts"
export * as UpdateLogContract from "./UpdateLogContract.ts"
