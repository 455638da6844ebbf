import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Prompt from "effect/ai/Prompt"
import * as Digest from "effect/crypto/Digest"
import { AgentError, InvalidInput } from "../../AgentError.ts"
import type { ModelRequest } from "../../BackgroundModel.ts"
import { Labels, type RunRecord } from "../../RunRecord.ts"
import type { Any as Agent } from "../../AgentDefinition.ts"
import type { RunInput } from "../../RunInput.ts"
import { lazily } from "../primitives/lazily.ts"

const utf8 = new TextEncoder()

/** The error of an argument that cannot be used. */
export const invalid = (description: string): AgentError =>
  new AgentError({ reason: new InvalidInput({ description }) })

const PromptJson = Schema.toCodecJson(Prompt.Prompt)
const encodePrompt = Schema.encodeEffect(PromptJson)
const decodeInput = Schema.decodeEffect(Schema.fromJsonString(PromptJson))

/** Encodes a prompt for a store. */
export const inputOf = (prompt: Prompt.Prompt): Effect.Effect<string> =>
  Effect.map(Effect.orDie(encodePrompt(prompt)), (encoded) => JSON.stringify(encoded))

/** Decodes a prompt from a store. The error does not contain the cause, because that would show content. */
export const promptOf = (input: string): Effect.Effect<Prompt.Prompt, void> =>
  Effect.mapError(decodeInput(input), () => {})

// MD5 is enough to tell two inputs apart. It is synchronous, unlike the digests of WebCrypto: under a TestClock, a run must
// reach its next sleep before the clock is adjusted.
const digests = lazily(() => Effect.runSync(Effect.provide(Digest.Digest, Digest.layerWebCrypto)))

/** A digest of a text. */
export const hash = (text: string) => digests().digestHex(Digest.md5, utf8.encode(text))

const digest = Effect.fnUntraced(function* (agent: Agent, prompt: Prompt.Prompt, session: RunInput["session"]) {
  const encoded = yield* Effect.orDie(encodePrompt(prompt))
  return yield* hash(JSON.stringify([agent.name, encoded, session?.previousResponseId ?? null]))
})

const readPrompt = (input: Prompt.RawInput): Effect.Effect<Prompt.Prompt, AgentError> =>
  Effect.try({
    try: () => Prompt.make(input),
    catch: (cause) =>
      invalid(
        `The input is not a prompt of effect/ai: ${Predicate.isError(cause) ? cause.message : "it cannot be read"}`
      )
  }).pipe(
    Effect.filterOrFail(
      (prompt) =>
        Prompt.isPrompt(prompt) &&
        prompt.content.some(
          (message) =>
            message.role !== "system" && message.content.some((part) => part.type !== "text" || part.text.trim() !== "")
        ),
      () => invalid("The input is empty, or is not a prompt. Say what the agent is to do.")
    )
  )

/** The prompt of an input, and the digest that identifies the task. */
export const readTask = Effect.fnUntraced(function* (
  agent: Agent,
  { input, session }: Pick<RunInput, "input" | "session">
) {
  const prompt = yield* readPrompt(input)
  return { prompt, digest: yield* digest(agent, prompt, session) }
})

/** The fields of a request that all turns of a run share. */
export const requestFields = (
  { instructions, name, options, toolkit }: Agent,
  { background, runId }: RunRecord
): Omit<ModelRequest, "prompt" | "previousResponseId"> => ({
  runId,
  agent: name,
  ...(instructions === undefined ? {} : { instructions }),
  background,
  ...(toolkit === undefined ? {} : { tools: Object.values(toolkit.tools) }),
  ...(options === undefined ? {} : { options })
})

/** The request that opens the first turn of a run. */
export const firstRequest = (agent: Agent, record: RunRecord, prompt: Prompt.Prompt): ModelRequest => ({
  ...requestFields(agent, record),
  prompt,
  ...(record.session.previousResponseId === undefined ? {} : { previousResponseId: record.session.previousResponseId })
})

/** Checks the labels that a caller gave. */
export const readLabels = (labels: RunInput["labels"]): Effect.Effect<Pick<RunRecord, "labels">, AgentError> =>
  labels === undefined
    ? Effect.succeed({})
    : Effect.fromResult(
        Schema.decodeUnknownResult(Labels)(labels).pipe(
          Result.map((checked) => ({ labels: checked })),
          Result.mapError(() =>
            invalid(
              "Labels are texts: at most 8, with names of 1 to 64 bytes and values of at most 256. Shorten them, or keep longer " +
                "texts elsewhere, under the run's id."
            )
          )
        )
      )
