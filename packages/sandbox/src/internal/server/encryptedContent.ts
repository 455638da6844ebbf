import * as Result from "effect/Result"
import * as Base64Url from "effect/encoding/Base64Url"

const prefix = "gAAAAA"

/**
 * Stands for the encrypted reasoning of an item. It is not a secret: it only
 * has to be opaque to clients, and to tell whether it came back unchanged.
 */
export const encryptedContent = (itemId: string, text: string): string =>
  prefix + Base64Url.encode(`${itemId}\n${text}`)

/** Whether this content was made here, for this item if its id is known. */
export const isEncryptedContent = (content: string, itemId: string | undefined): boolean =>
  content.startsWith(prefix) &&
  Result.match(Base64Url.decodeString(content.slice(prefix.length)), {
    onFailure: () => false,
    onSuccess: (text) => {
      const [madeFor = ""] = text.split("\n")
      return madeFor.startsWith("rs_") && (itemId === undefined || itemId === madeFor)
    }
  })
