/** The secrets of one client. */
export interface Secrets {
  readonly add: (secret: string) => void
  readonly redact: (text: string) => string
}

// Short ones would blot out innocent words, and are no secrets.
const shortest = 6

// Tokens are replaced every hour or so; only the latest can be in a text that is made now.
const most = 16

/** The secrets of a client, beginning with its key, if it has one. */
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
