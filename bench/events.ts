/** Events of a stream by the least that can be done: splitting and `JSON.parse`. */
export const eventsOf = async (
  body: ReadableStream<Uint8Array>,
  /** Answers whether to go on. */
  onEvent: (event: { readonly type: string; readonly delta?: string }) => boolean
): Promise<void> => {
  const chunks = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  for (;;) {
    const { done, value } = await chunks.read()
    if (done) return
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n")
    rest = events.pop() ?? ""
    for (const event of events) {
      if (!onEvent(JSON.parse(event.slice(event.indexOf("\ndata: ") + 7)))) return chunks.cancel()
    }
  }
}
