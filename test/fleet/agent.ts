import { Agent } from "@effect-baton/core"

/** The agent of the fleet's runs. */
export const agent = Agent.make("fleet", { background: true })
