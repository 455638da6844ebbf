/** The secrets of one client, and a way to remove them from a text. */
export interface Secrets {
  readonly add: (secret: string) => void
  readonly redact: (text: string) => string
}

// A shorter text is not a secret, and replacing it would damage ordinary words.
const shortest = 6

// A token provider gives a new token every hour or so. Only the latest tokens can appear in a new text.
const most = 16

/** Makes the secrets of a client, which start with its key if it has one. */
export const make = (key: string | undefined): Secrets => {
  const secrets = new Set<string>()
  const add = (secret: string): void => {
    const trimmed = secret.trim()
    if (trimmed.length < shortest || secrets.has(trimmed)) return
    secrets.add(trimmed)
    const oldest = secrets.size > most ? [...secrets].find((known) => known !== key) : undefined
    if (oldest !== undefined) secrets.delete(oldest)
  }
  if (key !== undefined) add(key)
  return {
    add,
    redact: (text) => [...secrets].reduce((redacted, secret) => redacted.replaceAll(secret, "<redacted>"), text)
  }
}
