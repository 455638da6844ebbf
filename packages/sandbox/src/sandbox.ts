#!/usr/bin/env node
/**
 * The sandbox Responses server as a program: `npx @effect-baton/sandbox --port 8787`.
 *
 * It prints one line with its address, listens only on 127.0.0.1, and ends
 * at SIGINT or SIGTERM.
 *
 * @since 0.1.0
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { ResponsesServer } from "./ResponsesServer.ts"
import { parse } from "./SandboxTrouble.ts"

class WebhookSecretMissing extends Data.TaggedError("WebhookSecretMissing") {
  override readonly message = "--webhook-url needs --webhook-secret, or OPENAI_WEBHOOK_SECRET"
}

const time = Schema.DurationFromString

const command = Command.make(
  "sandbox",
  {
    port: Flag.Int("port").pipe(Flag.withDescription("Port on 127.0.0.1; 0 means any free port"), Flag.withDefault(0)),
    pace: Flag.String("pace").pipe(
      Flag.withDescription('Time between two deltas, such as "10 millis"; 0 means as fast as they are read'),
      Flag.withSchema(time),
      Flag.optional
    ),
    queueTime: Flag.String("queue-time").pipe(
      Flag.withDescription("Time that background responses stay queued"),
      Flag.withSchema(time),
      Flag.optional
    ),
    replayWindow: Flag.String("replay-window").pipe(
      Flag.withDescription("How long after its creation a response can be streamed again (default: 5 minutes)"),
      Flag.withSchema(time),
      Flag.optional
    ),
    apiKey: Flag.Redacted("api-key").pipe(
      Flag.withDescription("The only API key that is accepted; others get 401"),
      Flag.optional
    ),
    trouble: Flag.String("trouble").pipe(
      Flag.withDescription('Troubles to switch on, such as "Reset after=10 times=1; StuckQueued" or JSON'),
      Flag.optional
    ),
    transcripts: Flag.Directory("transcripts", { mustExist: true }).pipe(
      Flag.withDescription("Directory of recordings for models named transcript:<name>"),
      Flag.optional
    ),
    webhookUrl: Flag.String("webhook-url").pipe(
      Flag.withDescription("Where to report the ends of background responses; needs a secret"),
      Flag.withSchema(Schema.URLFromString),
      Flag.optional
    ),
    webhookSecret: Flag.Redacted("webhook-secret").pipe(
      Flag.withDescription("Signs the messages to --webhook-url, such as whsec_… (default: OPENAI_WEBHOOK_SECRET)"),
      Flag.withFallbackConfig(Config.Redacted("OPENAI_WEBHOOK_SECRET")),
      Flag.optional
    )
  },
  ({ apiKey, pace, port, queueTime, replayWindow, transcripts, trouble, webhookSecret, webhookUrl }) =>
    Effect.gen(function* () {
      if (Option.isSome(webhookUrl) && Option.isNone(webhookSecret)) {
        return yield* new WebhookSecretMissing()
      }
      const troubles = Option.isSome(trouble) ? yield* parse(trouble.value) : []
      const announce = Layer.effectDiscard(
        Effect.flatMap(ResponsesServer, ({ url }) => Console.log(`Sandbox Responses API at ${url}`))
      )
      const server = ResponsesServer.layer({
        port,
        troubles,
        pace: Option.getOrUndefined(pace),
        queueTime: Option.getOrUndefined(queueTime),
        replayWindow: Option.getOrUndefined(replayWindow),
        apiKey: Option.getOrUndefined(apiKey),
        transcripts: Option.getOrUndefined(transcripts),
        webhook: Option.getOrUndefined(
          Option.all({ url: Option.map(webhookUrl, (url) => url.href), secret: webhookSecret })
        )
      })
      return yield* Layer.launch(Layer.provide(announce, server))
    })
).pipe(
  Command.withDescription("A sandbox server of the Responses API on 127.0.0.1"),
  Command.withExamples([
    {
      command: 'sandbox --port 8787 --pace "10 millis"',
      description: "Stream a delta every 10 milliseconds"
    },
    {
      command: 'sandbox --port 8787 --trouble "EndEarly after=20 times=3"',
      description: "End the first three streams early"
    }
  ])
)

command.pipe(Command.run({ version: "0.1.0" }), Effect.provide(NodeServices.layer), NodeRuntime.runMain)
