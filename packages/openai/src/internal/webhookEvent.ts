import * as Option from "effect/Option"
import * as Schema from "effect/Schema"

const Event = Schema.fromJsonString(
  Schema.Struct({
    id: Schema.String,
    type: Schema.String,
    created_at: Schema.Finite,
    data: Schema.Unknown
  })
)

const decode = Schema.decodeUnknownOption(Event)
const decodeData = Schema.decodeUnknownOption(Schema.Struct({ id: Schema.NonEmptyString }))

/** What an event says. `responseId` is absent if the event is not about a response. */
export interface Parsed {
  readonly id: string
  readonly type: string
  readonly createdAt: number
  readonly responseId?: string
}

/** Reads the body of a verified event, of any type: OpenAI adds types, and fields. */
export const parse = (body: string): Option.Option<Parsed> =>
  Option.flatMap(decode(body), ({ created_at, data, id, type }) => {
    const event = { id, type, createdAt: created_at * 1000 }
    return type.startsWith("response.")
      ? Option.map(decodeData(data), (response) => ({ ...event, responseId: response.id }))
      : Option.some(event)
  })
