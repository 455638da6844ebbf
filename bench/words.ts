/** How long every word is. */
export const wordLength = 5

/** The word that a flat stream has at a place. */
export const wordOf = (index: number): string => ` ${(index % 36 ** 4).toString(36).padStart(wordLength - 1, "0")}`
