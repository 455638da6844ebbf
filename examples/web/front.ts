// The address of the page. It stays while the process behind it is killed: connections that come meanwhile wait for the next.
import { Effect } from "effect"
import { connect, createServer, type Server, type Socket } from "node:net"

/** Leads connections to the socket that `target` names now. */
const lead = (near: Socket, target: () => string) => {
  const far = connect(target())
  let joined = false
  far.on("error", () => undefined)
  far.on("connect", () => {
    joined = true
    if (near.destroyed) far.destroy()
    near.pipe(far).pipe(near)
    near.on("close", () => far.destroy())
  })
  far.on("close", () => {
    if (joined) near.destroy()
    else if (!near.destroyed) setTimeout(lead, 50, near, target)
  })
}

/** Listens on a port of 127.0.0.1, and returns the address. */
export const listen = (port: number, target: () => string) =>
  Effect.acquireRelease(
    Effect.callback<Server, Error>((resume) => {
      const server = createServer((near) => {
        near.on("error", () => undefined)
        lead(near, target)
      })
      server.on("error", (error) => resume(Effect.fail(error)))
      server.listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => server.close())
  ).pipe(
    Effect.map((server) => {
      const address = server.address()
      return `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : port}/`
    })
  )
