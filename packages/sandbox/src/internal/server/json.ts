import * as Predicate from "effect/Predicate"

/** A JSON object whose fields are not known. */
export type Json = { readonly [key: string]: unknown }

export const isJson = (value: unknown): value is Json => Predicate.isObject(value) && !Array.isArray(value)

export const stringOf = (value: unknown): string | undefined => (Predicate.isString(value) ? value : undefined)

export const stringsOf = (value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? value.filter(Predicate.isString) : []

export const jsonsOf = (value: unknown): ReadonlyArray<Json> => (Array.isArray(value) ? value.filter(isJson) : [])

/** The kind of a value, in the words of the API's errors. */
export const kindOf = (value: unknown): string =>
  value === null
    ? "null"
    : Array.isArray(value)
      ? "an array"
      : Predicate.isObject(value)
        ? "an object"
        : Predicate.isNumber(value)
          ? Number.isInteger(value)
            ? "an integer"
            : "a decimal number"
          : `a ${typeof value}`
