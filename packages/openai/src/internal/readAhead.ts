/** The result of one network read. */
export type Read = ReadableStreamReadResult<Uint8Array<ArrayBuffer>>

/** Gives the reads of a body, one after the other. A failed read rejects. */
export interface Source {
  readonly read: () => Promise<Read>
}

// Most bodies fit into this. If the consumer is further behind, the body is paused, as for any slow consumer.
const mostBytes = 16 * 1024 * 1024

/** Whether the connection stays open after the body, according to the headers. If they do not say, it closes. */
export const staysOpen = (headers: Headers): boolean => {
  const connection = headers.get("connection")?.toLowerCase() ?? ""
  if (connection.includes("close")) return false
  return connection.includes("keep-alive") || headers.has("transfer-encoding")
}

interface Waiting {
  readonly size: number
  // A promise that is rejected before somebody awaits it would end the process. So failures are kept as functions.
  readonly read: () => Promise<Read>
  next: Waiting | undefined
}

/**
 * Reads ahead of its consumer, up to `most` bytes, and returns each network read unchanged.
 *
 * This works around nodejs/undici#5360: if a connection that will not be used again closes while its body is paused, an
 * assertion outside every promise ends the process. So the body of such a connection is not paused until `most` bytes
 * wait, however slow the consumer is.
 */
export const readAhead = (source: Source, most = mostBytes): Source => {
  let first: Waiting | undefined
  let last: Waiting | undefined
  let bytes = 0
  let reading = false
  let over = false
  let asked: ((read: Promise<Read>) => void) | undefined

  const give = (size: number, read: () => Promise<Read>): void => {
    reading = false
    if (asked !== undefined) {
      const answer = asked
      asked = undefined
      answer(read())
    } else {
      const entry: Waiting = { size, read, next: undefined }
      if (last === undefined) first = entry
      else last.next = entry
      last = entry
      bytes += size
    }
    goOn()
  }

  const goOn = (): void => {
    if (reading || over || bytes >= most) return
    reading = true
    source.read().then(
      (read) => {
        over = read.done
        give(read.value?.length ?? 0, () => Promise.resolve(read))
      },
      (error: unknown) => {
        over = true
        give(0, () => Promise.reject(error))
      }
    )
  }

  return {
    read: () => {
      const entry = first
      if (entry === undefined) {
        return over
          ? source.read()
          : new Promise((resolve) => {
              asked = resolve
              goOn()
            })
      }
      first = entry.next
      if (first === undefined) last = undefined
      bytes -= entry.size
      goOn()
      return entry.read()
    }
  }
}
