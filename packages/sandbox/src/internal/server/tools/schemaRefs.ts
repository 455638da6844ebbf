import { isJson, type Json } from "../json.ts"

/** The schema that a reference within a document points to. */
export const resolveRef = (root: Json, ref: string): Json | undefined => {
  if (ref !== "#" && !ref.startsWith("#/")) return undefined
  let found: unknown = root
  for (const step of ref.split("/").slice(1)) {
    const key = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~")
    found = Array.isArray(found) ? found[Number(key)] : isJson(found) ? found[key] : undefined
  }
  return isJson(found) ? found : undefined
}
