import { jsonsOf, stringOf } from "./json.ts"

/** The text of a content: the content itself, or the texts of its parts. */
export const contentText = (content: unknown): string =>
  stringOf(content) ??
  jsonsOf(content)
    .map((part) => stringOf(part["text"]) ?? "")
    .join("")
