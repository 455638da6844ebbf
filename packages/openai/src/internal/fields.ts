/** An object as `JSON.parse` gives it. */
export interface Json {
  readonly [key: string]: unknown
}

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const nothing: Json = {}

/** The object, or an empty one for anything else. */
export const recordOf = (value: unknown): Json => (isRecord(value) ? value : nothing)

export const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** A text, also if the server gives a number for it, as some do for codes. */
export const wordOf = (value: unknown): string | undefined =>
  typeof value === "number" ? String(value) : textOf(value)

/** A number of things. A decimal, a negative number or a text is none. */
export const countOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined

export const isMissing = (value: unknown): value is null | undefined => value === undefined || value === null

/** Absent keys instead of undefined ones: parts are stored as JSON. */
export const defined = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]?: Exclude<A[K], undefined>
  }
