/** Makes a value when it is first asked for: codecs take milliseconds, and not every program that loads them uses them. */
export const lazily = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}
