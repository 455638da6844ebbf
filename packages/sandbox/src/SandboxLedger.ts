/**
 * A record of all requests and responses of the sandbox server, for tests and
 * demonstrations that ask "was it created once?".
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const Metadata = Schema.Record(Schema.String, Schema.String)

/**
 * One request that reached the server. `at` is in milliseconds since the
 * epoch. `status` is absent while the request is being answered, and if the
 * connection was broken before the headers.
 *
 * @since 0.1.0
 * @category schemas
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
 * @since 0.1.0
 * @category models
 */
export type LedgerRequest = typeof LedgerRequest.Type

/**
 * One response that was created. `eventsProduced` counts the events so far,
 * whether or not anybody read them. `outputText` is the text in them.
 *
 * @since 0.1.0
 * @category schemas
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
 * @since 0.1.0
 * @category models
 */
export type LedgerResponse = typeof LedgerResponse.Type

/**
 * The requests and responses since the server started or its ledger was
 * cleared, in order, and how often each trouble struck. The server returns it
 * as JSON at `GET /sandbox/ledger`, so that another process can read it.
 *
 * **Example** (Decoding a ledger)
 *
 * ```ts
 * import { Schema } from "effect"
 * import { SandboxLedger } from "@effect-baton/sandbox/SandboxLedger"
 *
 * const read = Schema.decodeUnknownSync(SandboxLedger)
 * read({ requests: [], responses: [], troubles: {} }).responses.length // => 0
 * ```
 *
 * @since 0.1.0
 * @category schemas
 */
export const SandboxLedger = Schema.Struct({
  requests: Schema.Array(LedgerRequest),
  responses: Schema.Array(LedgerResponse),
  troubles: Schema.Record(Schema.String, Schema.Number)
})

/**
 * The type of the schema `SandboxLedger`.
 *
 * @since 0.1.0
 * @category models
 */
export type SandboxLedger = typeof SandboxLedger.Type
