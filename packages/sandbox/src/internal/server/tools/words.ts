const common = new Set(
  (
    "a about all also am an and any are as at be been but by call can could do does for from get give had has have " +
    "help her him his how i if in into is it its just like list make may me my need no not of on one or our out " +
    "please set show so some tell than that the their them then there these they this those to too tool up us use " +
    "used using very want was we were what when where which while who why will with would you your find fetch look " +
    "lookup run do create new return returns given current"
  ).split(" ")
)

const stem = (word: string): string =>
  word.length > 4 ? word.replace(/(?<=..)(?:ies|y)$/, "i").replace(/(?<=...)(?:ing|ed|es|s|e)$/, "") : word

/** The words of a text that carry its meaning, without their endings. */
export const wordsOf = (text: string): ReadonlyArray<string> =>
  (text.replace(/(?<=[a-z0-9])(?=[A-Z])/g, " ").match(/[\p{L}\p{N}]+/gu) ?? [])
    .map((word) => word.toLowerCase())
    .filter((word) => !common.has(word))
    .map(stem)

/** A text as a regular expression for itself. */
export const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")

/** Whether a text has a name in it, as a word of its own. */
export const mentions = (text: string, name: string): boolean =>
  new RegExp(`(?<![\\p{L}\\p{N}_])${escaped(name)}(?![\\p{L}\\p{N}_])`, "iu").test(text)
