import { Effect } from "effect"
import { createServer, request } from "node:http"
import type { AddressInfo } from "node:net"

/** Passes requests on to a provider, and counts the streams that are open at once. */
export const counted = (target: string) =>
  Effect.acquireRelease(
    Effect.callback<{
      readonly url: string
      readonly most: () => number
      readonly all: () => number
      close: () => void
    }>((resume) => {
      let open = 0
      let most = 0
      let all = 0
      const server = createServer((asked, answer) => {
        const passed = request(
          new URL(asked.url ?? "/", target),
          { method: asked.method, headers: { ...asked.headers, host: new URL(target).host } },
          (came) => {
            answer.writeHead(came.statusCode ?? 502, came.headers)
            if (came.headers["content-type"]?.startsWith("text/event-stream") === true) {
              all++
              most = Math.max(most, ++open)
              answer.once("close", () => open--)
            }
            came.pipe(answer)
            came.once("error", () => answer.destroy())
          }
        )
        passed.once("error", () => answer.destroy())
        answer.once("close", () => passed.destroy())
        asked.pipe(passed)
      }).listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        // The target may be below a path.
        const { pathname } = new URL(target)
        resume(
          Effect.succeed({
            url: `http://127.0.0.1:${port}${pathname === "/" ? "" : pathname}`,
            most: () => most,
            all: () => all,
            close: () => {
              server.closeAllConnections()
              server.close()
            }
          })
        )
      })
    }),
    ({ close }) => Effect.sync(close)
  )
