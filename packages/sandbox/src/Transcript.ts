/**
 * Recordings of the Responses API: requests and their answers, for the sandbox
 * server to replay and for tests to compare with.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Schema from "effect/Schema"

const JsonRecord = Schema.Record(Schema.String, Schema.Unknown)

/**
 * One request and its answer. A streamed answer has `events` (the `data:`
 * payloads in order), any other answer has `json`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Exchange = Schema.Struct({
  request: Schema.Struct({
    method: Schema.String,
    path: Schema.String,
    query: Schema.String,
    body: Schema.NullOr(JsonRecord)
  }),
  response: Schema.Struct({
    status: Schema.Int,
    headers: Schema.optionalKey(Schema.Record(Schema.String, Schema.String)),
    events: Schema.optionalKey(Schema.Array(JsonRecord)),
    json: Schema.optionalKey(JsonRecord)
  })
})

/**
 * The type of the schema `Exchange`.
 *
 * @since 0.1.0
 * @category models
 */
export type Exchange = typeof Exchange.Type

/**
 * A named recording of one or more exchanges.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Transcript = Schema.Struct({
  name: Schema.String,
  exchanges: Schema.Array(Exchange)
})

/**
 * The type of the schema `Transcript`.
 *
 * @since 0.1.0
 * @category models
 */
export type Transcript = typeof Transcript.Type

/**
 * A file cannot be read, or is not a recording.
 *
 * @since 0.1.0
 * @category errors
 */
export class TranscriptError extends Schema.TaggedError<TranscriptError>()("TranscriptError", {
  path: Schema.String,
  message: Schema.String
}) {}

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Transcript))

/**
 * Reads one recording. Fails with `TranscriptError`.
 *
 * **Example** (Reading one recording)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import * as Transcript from "@effect-baton/sandbox/Transcript"
 *
 * const recording = Transcript.read("transcripts/background-poll.json").pipe(
 *   Effect.provide(NodeServices.layer)
 * )
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = Effect.fnUntraced(
  function* (path: string) {
    const fs = yield* FileSystem.FileSystem
    return yield* decode(yield* fs.readFileString(path))
  },
  (effect, path) => Effect.mapError(effect, (error) => new TranscriptError({ path, message: error.message }))
)

/**
 * Reads every `.json` file of a directory, in the order of their names. Fails
 * with `TranscriptError` at the first file that is not a recording.
 *
 * **Example** (Reading a directory of recordings)
 *
 * ```ts
 * import { NodeServices } from "@effect/platform-node"
 * import { Effect } from "effect"
 * import * as Transcript from "@effect-baton/sandbox/Transcript"
 *
 * const recordings = Transcript.readDirectory("transcripts").pipe(Effect.provide(NodeServices.layer))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const readDirectory = Effect.fnUntraced(function* (directory: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const names = yield* fs
    .readDirectory(directory)
    .pipe(Effect.mapError((error) => new TranscriptError({ path: directory, message: error.message })))
  return yield* Effect.forEach(names.filter((name) => name.endsWith(".json")).toSorted(), (name) =>
    read(path.join(directory, name))
  )
})
