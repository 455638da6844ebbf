import { Agent } from "@effect-baton/core"

export const agent = Agent.make("crasher", { background: true })
export const runId = "main"

const sides = (places: ReadonlyArray<string>) => places.flatMap((place) => [`${place}:before`, `${place}:after`])

/** The places of a logged run: around each append, each fact and each acknowledgement. */
export const places = sides([
  "log open",
  "log append",
  "log end",
  "acknowledgement",
  ...["Requested", "Accepted", "ResponseEnded", "Ended", "Delivered"].map((tag) => `fact ${tag}`)
])
