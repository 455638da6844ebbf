import { connect, createServer, type Socket } from "node:net"
import { afterAll } from "vitest"

/** An address that leads to a server, as long as it is not cut. */
export const startRelay = (url: string) =>
  new Promise<{ readonly url: string; readonly cut: (isCut: boolean) => void }>((resolve) => {
    const target = new URL(url)
    const open = new Set<Socket>()
    let isCut = false
    const destroy = () => open.forEach((socket) => socket.destroy())
    const server = createServer((near) => {
      const far = connect(Number(target.port), target.hostname)
      for (const [socket, other] of [
        [near, far],
        [far, near]
      ] as const) {
        open.add(socket)
        socket.pipe(other)
        socket.on("error", () => other.destroy())
        socket.on("close", () => {
          open.delete(socket)
          other.destroy()
        })
      }
      if (isCut) destroy()
    })
    afterAll(() => {
      server.close()
      destroy()
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resolve({
        url: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}/`,
        cut: (now) => {
          isCut = now
          if (now) destroy()
        }
      })
    })
  })
