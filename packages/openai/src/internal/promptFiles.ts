import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import type * as Prompt from "effect/ai/Prompt"
import * as Base64 from "effect/encoding/Base64"
import type {
  ResponseInputFile,
  ResponseInputImage,
  ResponseInputItem,
  ResponseInputText
} from "openai/resources/responses/responses"
import type { Json } from "./fields.ts"

export type Content = ResponseInputText | ResponseInputImage | ResponseInputFile
export type Items = ReadonlyArray<ResponseInputItem>
export type Converted<A> = Effect.Effect<A, AiError.AiErrorReason>

export const nothing: Converted<Items> = Effect.succeed([])
export const one = (item: ResponseInputItem): Converted<Items> => Effect.succeed([item])

export const refuse = (description: string) => Effect.fail(new AiError.InvalidUserInputError({ description }))

/** The metadata of this package's response parts comes back as the options of prompt parts. */
export const optionsOf = ({ options }: { readonly options: Prompt.ProviderOptions }): Json => {
  const own = options["openai"]
  return typeof own === "object" && own !== null ? { ...own } : {}
}

const detailOf = (own: Json) => (own["detail"] === "low" || own["detail"] === "high" ? own["detail"] : "auto")

/** Where a file is. Text is base64 unless it is a URL or a file id: base64 has neither a colon nor a hyphen. */
export const locate = (
  part: Prompt.FilePart
): { readonly id: string } | { readonly url: string } | { readonly data: string } => {
  const { data } = part
  if (data instanceof URL) return { url: data.href }
  if (typeof data !== "string") return { data: Base64.encode(data) }
  if (data.startsWith("file-")) return { id: data }
  return /^(https?|data):/.test(data) ? { url: data } : { data }
}

/** An image, by its file id or as a URL. */
export const imageOf = (part: Prompt.FilePart): { readonly file_id: string } | { readonly image_url: string } => {
  const own = optionsOf(part)
  const at = typeof own["fileId"] === "string" ? { id: own["fileId"] } : locate(part)
  if ("id" in at) return { file_id: at.id }
  // A data URL cannot have a wildcard type. The API looks at the bytes.
  const type = part.mediaType === "image/*" ? "image/jpeg" : part.mediaType
  return { image_url: "url" in at ? at.url : `data:${type};base64,${at.data}` }
}

/** A file in a message or in the output of a call. */
export const file = (part: Prompt.FilePart): Converted<Content> => {
  const own = optionsOf(part)
  if (part.mediaType.startsWith("image/")) {
    return Effect.succeed({ type: "input_image", detail: detailOf(own), ...imageOf(part) })
  }
  if (/^(audio|video)\//.test(part.mediaType)) {
    return refuse(
      `The Responses API accepts no files of type '${part.mediaType}'. Send a transcript, or images or documents instead`
    )
  }
  const at = typeof own["fileId"] === "string" ? { id: own["fileId"] } : locate(part)
  if ("id" in at) return Effect.succeed({ type: "input_file", file_id: at.id })
  if ("url" in at && !at.url.startsWith("data:")) return Effect.succeed({ type: "input_file", file_url: at.url })
  return Effect.succeed({
    type: "input_file",
    filename: part.fileName ?? "file",
    file_data: "url" in at ? at.url : `data:${part.mediaType};base64,${at.data}`
  })
}
