/** Makes a value at its first use: codecs take milliseconds to build, and not every program that loads them uses them. */
export const lazily = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}
