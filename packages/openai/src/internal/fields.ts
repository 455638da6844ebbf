/** An object as `JSON.parse` returns it. */
export interface Json {
  readonly [key: string]: unknown
}

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const nothing: Json = {}

/** The value if it is an object, or else an empty object. */
export const recordOf = (value: unknown): Json => (isRecord(value) ? value : nothing)

export const textOf = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined)

/** The value as text. Some servers give a number for a code. */
export const wordOf = (value: unknown): string | undefined =>
  typeof value === "number" ? String(value) : textOf(value)

/** A count. A fraction, a negative number or a text is not one. */
export const countOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined

export const isMissing = (value: unknown): value is null | undefined => value === undefined || value === null

/** Removes the keys whose value is undefined, because parts are stored as JSON. */
export const defined = <A extends object>(fields: A): { [K in keyof A]?: Exclude<A[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof A]?: Exclude<A[K], undefined>
  }
