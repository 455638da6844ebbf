// Stream a report in the background, break off after ten updates with text, and go on from the token.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Agent, Session, TokenStore } from "@effect-baton/core"
import { Console, Effect, Option, Stream } from "effect"
import { analyst, task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const session = Session.make()
  const head = yield* Agent.stream(analyst, { input: yield* task, session }).pipe(
    Stream.filter((update) => update.text !== ""),
    Stream.take(10),
    Stream.tap((update) => Console.log(JSON.stringify(update.text))),
    Stream.runLast
  )

  const token = Option.flatMap(head, (update) => update.continuationToken)
  if (Option.isNone(token)) {
    return yield* Console.log("There is no continuation token: the run is over, or it is not a background run.")
  }

  yield* Console.log("--- broken off; the run goes on at the provider. Resuming from the token:")
  yield* Agent.resume(analyst, { continuationToken: token.value }).pipe(
    Stream.runForEach((update) => Effect.sync(() => process.stdout.write(update.text)))
  )

  const { session: extended } = yield* Agent.result(analyst, { runId: token.value.runId })
  yield* Console.log(`--- the session goes on after ${extended.previousResponseId}`)
})

program.pipe(Effect.provide([Model, TokenStore.layerMemory, NodeServices.layer]), NodeRuntime.runMain)
