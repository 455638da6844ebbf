/**
 * What the sandbox server saw and did, for tests and demonstrations that ask
 * "was it created once?".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Metadata = Schema.Record(Schema.String, Schema.String)

/**
 * One request that reached the server. `at` is in milliseconds since the
 * epoch; `status` is absent while it is being answered, and where the
 * connection was broken before the headers.
 *
 * @category models
 * @since 0.1.0
 */
export const LedgerRequest = Schema.Struct({
  requestId: Schema.String,
  method: Schema.String,
  path: Schema.String,
  query: Schema.Record(Schema.String, Schema.String),
  operation: Schema.String,
  responseId: Schema.optionalKey(Schema.String),
  metadata: Schema.optionalKey(Metadata),
  at: Schema.Number,
  status: Schema.optionalKey(Schema.Number)
})

/**
 * The type of the schema `LedgerRequest`.
 *
 * @category models
 * @since 0.1.0
 */
export type LedgerRequest = typeof LedgerRequest.Type

/**
 * One response that was created. `eventsProduced` counts the events made so
 * far, whether or not anybody read them; `outputText` is the text in them.
 *
 * @category models
 * @since 0.1.0
 */
export const LedgerResponse = Schema.Struct({
  id: Schema.String,
  model: Schema.String,
  background: Schema.Boolean,
  stream: Schema.Boolean,
  metadata: Metadata,
  createdAt: Schema.Number,
  status: Schema.String,
  eventsProduced: Schema.Number,
  outputText: Schema.String,
  resumes: Schema.Number,
  retrieves: Schema.Number,
  cancels: Schema.Number,
  deleted: Schema.Boolean
})

/**
 * The type of the schema `LedgerResponse`.
 *
 * @category models
 * @since 0.1.0
 */
export type LedgerResponse = typeof LedgerResponse.Type

/**
 * Everything the server saw since it started or since its ledger was cleared:
 * requests and responses in order, and how often each trouble struck. Served
 * as JSON at `GET /sandbox/ledger`, so that another process can read it.
 *
 * @example
 * ```ts
 * import { Schema } from "effect"
 * import { SandboxLedger } from "@effect-baton/sandbox/SandboxLedger"
 *
 * const read = Schema.decodeUnknownSync(SandboxLedger)
 * read({ requests: [], responses: [], troubles: {} }).responses.length // => 0
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export const SandboxLedger = Schema.Struct({
  requests: Schema.Array(LedgerRequest),
  responses: Schema.Array(LedgerResponse),
  troubles: Schema.Record(Schema.String, Schema.Number)
})

/**
 * The type of the schema `SandboxLedger`.
 *
 * @category models
 * @since 0.1.0
 */
export type SandboxLedger = typeof SandboxLedger.Type
