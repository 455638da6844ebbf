// Scenarios of runs with tools over the stores of one process. Redis plays them in test/redis.
import { answerScenarios } from "../support/answerScenarios.ts"
import { callScenarios } from "../support/callScenarios.ts"
import { stores } from "../support/stores.ts"
import { casesOf } from "../support/toolCases.ts"

callScenarios(casesOf(stores))
answerScenarios(casesOf(stores))
