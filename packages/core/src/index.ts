/**
 * Long agent runs, as Effect Streams, that survive the process that watches them.
 *
 * @since 0.1.0
 */
export * as Agent from "./Agent.ts"
export * as AgentError from "./AgentError.ts"
export * as AgentErrorReason from "./AgentErrorReason.ts"
export * as AgentResponse from "./AgentResponse.ts"
export * as AgentUpdate from "./AgentUpdate.ts"
export * as BackgroundModel from "./BackgroundModel.ts"
export * as ContinuationToken from "./ContinuationToken.ts"
export * as Failpoint from "./Failpoint.ts"
export * as Follow from "./Follow.ts"
export * as Followed from "./Followed.ts"
export * as Run from "./Run.ts"
export * as RunEngine from "./RunEngine.ts"
export * as RunKernel from "./RunKernel.ts"
export * as RunPolicy from "./RunPolicy.ts"
export * as RunRecord from "./RunRecord.ts"
export * as RunState from "./RunState.ts"
export * as Runs from "./Runs.ts"
export * as Session from "./Session.ts"
export * as SignedTokens from "./SignedTokens.ts"
export * as StoreOperations from "./StoreOperations.ts"
export * as TokenStore from "./TokenStore.ts"
export * as TokenStoreError from "./TokenStoreError.ts"
