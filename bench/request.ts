/** The request that every subject sends, by bare `fetch`. */
export const request = async (url: string, input: string): Promise<{ readonly body: ReadableStream<Uint8Array> }> => {
  const { body, status } = await fetch(`${url}/responses`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer bench" },
    body: JSON.stringify({ model: "bench", input, background: true, stream: true })
  })
  if (status !== 200 || body === null) throw new Error(`The server answered ${status}`)
  return { body }
}
