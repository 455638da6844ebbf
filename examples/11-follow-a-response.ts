// Follow one response without any store: the position is kept in a variable here, and would be in your own database. After
// ten texts the stream is broken off; a second one goes on right after them.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { type ContinuationToken, Follow, Run } from "@effect-baton/core"
import { Console, Effect, Option, Stream } from "effect"
import { Prompt } from "effect/ai"
import { task } from "./analyst.ts"
import { Model } from "./model.ts"

const program = Effect.gen(function* () {
  const request = {
    runId: Run.RunId.make("report-1"),
    agent: "analyst",
    prompt: Prompt.make(yield* task),
    background: true
  }

  let responseId = ""
  let texts = 0
  let position: ContinuationToken.ContinuationToken | undefined
  yield* Follow.response({ request }).pipe(
    Stream.takeUntil((element) => element._tag === "Update" && element.text !== "" && ++texts === 10),
    Stream.runForEach((element) =>
      Effect.gen(function* () {
        if (element._tag === "Accepted") {
          responseId = element.responseId
          yield* Console.log(`accepted as ${responseId}`)
        }
        if (element._tag !== "Update") return
        position = Option.getOrUndefined(element.continuationToken)
        if (element.text !== "") yield* Console.log(JSON.stringify(element.text))
      })
    )
  )
  if (position === undefined) return yield* Console.log("The response is over.")

  yield* Console.log("--- broken off; the response goes on at the provider. Following it from the position:")
  yield* Follow.response({ responseId, streamed: true }, position).pipe(
    Stream.runForEach((element) => {
      switch (element._tag) {
        case "Update":
          return Effect.sync(() => process.stdout.write(element.text))
        case "ResponseEnded":
          return Console.log(`\n--- ${element.status} after ${element.position.offset} updates`)
        default:
          return Effect.void
      }
    })
  )
})

program.pipe(Effect.provide([Model, NodeServices.layer]), NodeRuntime.runMain)
