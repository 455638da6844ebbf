/** A text of a file, and what stands there instead while the mutant is tried. */
interface Edit {
  readonly file: string
  /** Stands exactly once in the file. White space counts only between two words, so it may be formatted in any way. */
  readonly find: string
  readonly replace: string
}

interface About {
  /** A short name, the only one of its kind. */
  readonly id: string
  /** The number of the guarantee that it breaks. */
  readonly guarantee: number
  /** What is no longer true with the mutant. */
  readonly breaks: string
  /** The file of the test that must then fail. */
  readonly test: string
  /** Runs only the tests of the file whose name contains this. */
  readonly title?: string
}

/** Breaks one guarantee: one edit, or several if one cannot do it. */
export type Mutant = About & (Edit | { readonly edits: ReadonlyArray<Edit> })
