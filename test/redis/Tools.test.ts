// Scenarios and schedules of runs with tools over Redis, with and without an update log.
import { answerScenarios } from "../support/answerScenarios.ts"
import { callScenarios } from "../support/callScenarios.ts"
import { describeShared } from "../support/redisServer.ts"
import { awaited } from "../support/stores.ts"
import { casesOf } from "../support/toolCases.ts"
import { toolSchedules } from "../support/toolSchedules.ts"
import { storeOn } from "./store.ts"

describeShared("runs with tools", (server) => {
  const cases = casesOf([{ name: "Redis", layer: awaited(storeOn(server)) }])
  callScenarios(cases)
  answerScenarios(cases)
  toolSchedules(cases)
})
