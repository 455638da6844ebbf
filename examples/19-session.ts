// A second question that knows the first. Each question is a run of its own; the session, a small plain value, is what they
// share. Keep it where you keep your user's other data: the conversation itself stays with the provider.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Session, TokenStore } from "@effect-baton/core"
import { Console, Effect } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const report = yield* Agent.run(analyst, { input: yield* task, session: Session.make() })
  yield* Console.log(`the report on all regions: ${report.text.length} characters`)

  // Neither the figures nor the report are sent again.
  const north = yield* Agent.run(analyst, { input: "Now only the North region, please.", session: report.session })
  yield* Console.log(north.text)

  // The first session is still valid: both answers go on from the same report.
  const south = yield* Agent.run(analyst, { input: "And only the South region?", session: report.session })
  yield* Console.log(`on South: ${south.text.length} characters`)
  yield* Console.log(`the session to keep: ${JSON.stringify(south.session)}`)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
