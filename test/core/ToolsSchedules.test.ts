// Schedules of facts about tool calls over the stores of one process. Redis plays them in test/redis.
import { stores } from "../support/stores.ts"
import { casesOf } from "../support/toolCases.ts"
import { toolSchedules } from "../support/toolSchedules.ts"

toolSchedules(casesOf(stores))
