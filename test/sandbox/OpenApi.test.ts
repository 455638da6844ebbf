// Whether the sandbox answers as OpenAI's published document says, and where it does not, why.
import { readDirectory } from "@effect-baton/sandbox/Transcript"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it, layer } from "@effect/vitest"
import { Config, Effect, Option } from "effect"
import { Answers } from "./answers.ts"
import { type Answer, byDocument, byPackage, type Validator } from "./schemas.ts"

const set = (name: string) => Effect.runSync(Effect.option(Config.NonEmptyString(name)))
const place = set("OPENAI_OPENAPI")
const directory = set("BATON_TRANSCRIPTS")

if (Option.isNone(place)) {
  console.warn("OPENAI_OPENAPI is not set: NO answer of the sandbox is held to OpenAI's document by these tests.")
}
if (Option.isNone(directory)) {
  console.warn("BATON_TRANSCRIPTS is not set: NO recorded transcript is held to OpenAI's document by these tests.")
}

const document = Option.isNone(place)
  ? undefined
  : await Effect.runPromise(byDocument(place.value).pipe(Effect.provide(NodeServices.layer)))

const recordings = Option.isNone(directory)
  ? []
  : await Effect.runPromise(readDirectory(directory.value).pipe(Effect.provide(NodeServices.layer)))

interface Named {
  readonly name: string
  readonly answer: Answer
}

const recorded: ReadonlyArray<Named> = recordings.flatMap(({ exchanges, name }) =>
  exchanges.flatMap(({ response: { events, json, status } }): ReadonlyArray<Named> =>
    events === undefined
      ? [{ name, answer: { component: status >= 400 ? "ErrorResponse" : "Response", body: json } }]
      : events.map((body) => ({ name, answer: { component: "ResponseStreamEvent", body } }))
  )
)

const notKnown = ({ component }: Answer) => [`${component}: no component of this name`]

/** Every deviation, with the names of those who have it. */
const deviations = (validate: Validator, answers: ReadonlyArray<Named>) => {
  const found = new Map<string, Set<string>>()
  for (const { answer, name } of answers) {
    for (const sentence of validate(answer) ?? notKnown(answer)) {
      found.set(sentence, (found.get(sentence) ?? new Set()).add(name))
    }
  }
  return Object.fromEntries([...found].map(([sentence, names]) => [sentence, [...names]]))
}

const ofSandbox = Effect.map(Answers, (answers) => answers.map((answer) => ({ name: "sandbox", answer })))

/** The same names for each sentence, as `deviations` has them of the sandbox. */
const onPurpose = (reasons: { readonly [sentence: string]: string }) =>
  Object.fromEntries(Object.keys(reasons).map((sentence) => [sentence, ["sandbox"]]))

const asRecorded = "recordings have it: see below"
const openList = "the API's list of codes and reasons is open, whatever the document says"
const nested = "the error event is nested in recordings, and flat in the document"
const unknownType = "the trouble UnknownEvents: a type that no client knows, which it must tolerate"
const cancelEvent = "the trouble CancelEvent: a cancel that ends the stream with an event, as no document foresees"

/** What deviates from the document on purpose, and why. */
const fromDocument = {
  "Response.user: must be string": asRecorded,
  "Response.usage: must be object": asRecorded,
  'Response.error.code: must be equal to one of the allowed values, but is "insufficient_quota"': openList,
  "Response.error: must be null": openList,
  "Response.error: must match a schema in anyOf": openList,
  'Response.incomplete_details.reason: must be equal to one of the allowed values, but is "steered"': openList,
  "Response.incomplete_details: must be null": openList,
  "Response.incomplete_details: must match a schema in anyOf": openList,
  "error: must have required property 'code'": nested,
  "error: must have required property 'message'": nested,
  "error: must have required property 'param'": nested,
  "keepalive: no event of this type": "on the wire, and missing from the document: the trouble Keepalives",
  "response.sandbox_novelty.delta: no event of this type": unknownType,
  "response.cancelled: no event of this type": cancelEvent
}

const mcpError = "an earlier state of the document had a text where it has an object now"
const mcpErrorIs =
  'Expected another value, got {"type":"mcp_tool_execution_error","content":[{"type":"text","text":"No such page."}]}'
const noWebhooks = "the package has no schemas of webhooks"

/** What deviates from the package's schemas on purpose, and why. */
const fromPackage = {
  "Response.safety_identifier: Expected string, got null": asRecorded,
  'Response.error.code: Expected another value, got "insufficient_quota"': openList,
  'Response.incomplete_details.reason: Expected another value, got "steered"': openList,
  [`Response.output.*.error: ${mcpErrorIs}`]: mcpError,
  [`response.output_item.done.item.error: ${mcpErrorIs}`]: mcpError,
  "error.code: Missing key": nested,
  "error.message: Missing key": nested,
  "error.param: Missing key": nested,
  "response.sandbox_novelty.delta: no event of this type": unknownType,
  "response.cancelled: no event of this type": cancelEvent,
  "WebhookResponseCompleted: no component of this name": noWebhooks,
  "WebhookResponseIncomplete: no component of this name": noWebhooks,
  "WebhookResponseFailed: no component of this name": noWebhooks,
  "WebhookResponseCancelled: no component of this name": noWebhooks
}

const responses = [
  "background-poll",
  "background-poll-function-tool",
  "background-poll-reasoning",
  "background-stream-resume",
  "background-stream-then-poll",
  "stream-incomplete-max-output-tokens",
  "stream-nested-error-quota",
  "stream-reasoning"
]
const quota = ["stream-nested-error-quota"]

/** What recordings have otherwise than the document. */
const recordedOtherwise = {
  "Response.user: must be string": responses,
  "Response.usage: must be object": responses,
  "Response.usage.input_tokens_details: must have required property 'cache_write_tokens'": responses.filter(
    // One is of 2026, and has it; one failed, and has no usage.
    (name) => name !== "background-poll-reasoning" && name !== "stream-nested-error-quota"
  ),
  'Response.error.code: must be equal to one of the allowed values, but is "insufficient_quota"': quota,
  "Response.error: must be null": quota,
  "Response.error: must match a schema in anyOf": quota,
  "error: must have required property 'code'": quota,
  "error: must have required property 'message'": quota,
  "error: must have required property 'param'": quota
}

/** What recordings have otherwise than the package's schemas. */
const recordedOtherwiseThanPackage = {
  "Response.safety_identifier: Expected string, got null": responses,
  'Response.error.code: Expected another value, got "insufficient_quota"': quota,
  "error.code: Missing key": quota,
  "error.message: Missing key": quota,
  "error.param: Missing key": quota
}

describe.skipIf(recordings.length === 0)("recorded transcripts", () => {
  const sorted = (found: { readonly [sentence: string]: ReadonlyArray<string> }) =>
    Object.fromEntries(Object.entries(found).map(([sentence, names]) => [sentence, names.toSorted()]))

  it.skipIf(document === undefined)("are as OpenAI's document says but for what is named here", () => {
    assert.deepEqual(sorted(deviations(document ?? notKnown, recorded)), recordedOtherwise)
  })

  it("are as the schemas generated from it say but for what is named here", () => {
    assert.deepEqual(sorted(deviations(byPackage, recorded)), recordedOtherwiseThanPackage)
  })
})

describe("the sandbox", () => {
  layer(Answers.layer, { timeout: "1 minute" })((test) => {
    test.effect("gives answers of every kind", () =>
      Effect.gen(function* () {
        const answers = yield* Answers
        const kinds = (component: Answer["component"], kind: (answer: (typeof answers)[number]) => unknown) =>
          new Set(answers.flatMap((answer) => (answer.component === component ? [kind(answer)] : [])))

        assert.deepEqual(
          kinds("Response", ({ body }) => body["status"]),
          new Set(["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"])
        )
        assert.deepEqual(
          kinds("ResponseStreamEvent", ({ body }) => body["type"]),
          new Set([
            "response.created",
            "response.queued",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.refusal.delta",
            "response.refusal.done",
            "response.output_text.annotation.added",
            "response.content_part.done",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.custom_tool_call_input.delta",
            "response.custom_tool_call_input.done",
            "response.web_search_call.in_progress",
            "response.web_search_call.searching",
            "response.web_search_call.completed",
            "response.mcp_list_tools.in_progress",
            "response.mcp_list_tools.completed",
            "response.mcp_list_tools.failed",
            "response.mcp_call.in_progress",
            "response.mcp_call_arguments.delta",
            "response.mcp_call_arguments.done",
            "response.mcp_call.completed",
            "response.mcp_call.failed",
            "response.code_interpreter_call.in_progress",
            "response.code_interpreter_call_code.delta",
            "response.code_interpreter_call_code.done",
            "response.code_interpreter_call.interpreting",
            "response.code_interpreter_call.completed",
            "response.reasoning_summary_part.added",
            "response.reasoning_summary_text.delta",
            "response.reasoning_summary_text.done",
            "response.reasoning_summary_part.done",
            "response.output_item.done",
            "response.completed",
            "response.incomplete",
            "response.failed",
            "response.cancelled",
            "response.sandbox_novelty.delta",
            "error",
            "keepalive"
          ])
        )
        assert.includeMembers([...kinds("ErrorResponse", ({ status }) => status)], [400, 401, 404, 429, 500, 502, 503])
      })
    )

    test.effect.skipIf(document === undefined)("answers as OpenAI's document says but for what is named here", () =>
      Effect.map(ofSandbox, (answers) => {
        assert.deepEqual(deviations(document ?? notKnown, answers), onPurpose(fromDocument))
      })
    )

    test.effect("answers as the schemas generated from it say but for what is named here", () =>
      Effect.map(ofSandbox, (answers) => {
        assert.deepEqual(deviations(byPackage, answers), onPurpose(fromPackage))
      })
    )
  })
})
