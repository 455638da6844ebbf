import { NodeServices } from "@effect/platform-node"
import { type ResponseScript, ResponsesServer, SalesAnalyst } from "@effect-baton/sandbox"
import { assert } from "@effect/vitest"
import { Context, Data, type Duration, Effect, Exit, Layer, Schedule, Scope } from "effect"
import { ChildProcess } from "effect/process"
import { createServer } from "node:net"
import { afterAll } from "vitest"
import type { View } from "./browser.ts"

class NotServed extends Data.TaggedError("NotServed") {}

/** A port that nobody listens on. */
const freePort = Effect.callback<number>((resume) => {
  const server = createServer().listen(0, "127.0.0.1", () => {
    const address = server.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    server.close(() => resume(Effect.succeed(port)))
  })
})

/** `pnpm web`, on a provider of the test, which plays this model. */
const start = Effect.fnUntraced(function* (model: ResponseScript.SandboxModel) {
  const layer = yield* Layer.build(ResponsesServer.layer({ model }))
  const provider = Context.get(layer, ResponsesServer.ResponsesServer)
  const port = yield* freePort
  const url = `http://127.0.0.1:${port}/`
  const child = yield* ChildProcess.make(
    process.execPath,
    [new URL("../../examples/web/main.ts", import.meta.url).pathname, "--port", String(port)],
    {
      env: { OPENAI_API_KEY: "any", OPENAI_BASE_URL: provider.url, OPENAI_MODEL: "sales-analyst" },
      extendEnv: true,
      stdout: "ignore",
      stderr: "inherit"
    }
  )
  const pid = Effect.tryPromise({
    try: async () => (await (await fetch(`${url}process`)).json()).pid as number,
    catch: () => new NotServed()
  })
  yield* Effect.retry(pid, { schedule: Schedule.spaced("50 millis"), while: () => Effect.orDie(child.isRunning) })
  return { url, pid, provider }
})

/** The letters and figures of a text: what Markdown writes around them is not in them. */
const letters = (text: string) => text.replaceAll(/[^\p{L}\p{N}]/gu, "")

/** `pnpm web` for the tests of a file. */
export const startWeb = (model: ResponseScript.SandboxModel = SalesAnalyst.model) => {
  const scope = Scope.makeUnsafe()
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  let starting: Promise<Effect.Success<ReturnType<typeof start>>> | undefined

  return async () => {
    starting ??= start(model).pipe(Scope.provide(scope), Effect.provide(NodeServices.layer), Effect.runPromise)
    const { pid, provider, url } = await starting
    await Effect.runPromise(provider.clearLedger)
    const bought = async () => (await Effect.runPromise(provider.ledger)).responses
    return {
      url,
      pid: () => Effect.runPromise(pid),
      bought,
      pace: (pace: Duration.Input) => Effect.runPromise(provider.setPace(pace)),
      /** Waits for the end of the report, and looks whether it is what the provider wrote, all of it and once. */
      completes: async ({ faults, page }: View) => {
        await page.locator('#state[data-state="completed"]').waitFor()
        const [response, ...others] = await bought()
        assert.deepStrictEqual(others, [], "it was bought once")
        const text = response!.outputText
        assert.strictEqual(await shownOn(page), await rightOn(page, text))
        assert.strictEqual(letters(await page.locator("#report").innerText()), letters(text))
        assert.notInclude(await page.locator("#events").innerText(), "came after")
        assert.deepStrictEqual(faults, [])
      },
      /** Looks whether the report is a beginning of what the provider wrote. */
      isPrefix: async ({ page }: View) => {
        const written = letters(await page.locator("#report").innerText())
        const text = letters((await bought())[0]!.outputText)
        assert.strictEqual(written, text.slice(0, written.length))
        return written.length
      }
    }
  }
}

const shownOn = (page: View["page"]) =>
  page.locator("#report").evaluate(({ children }) => [...children].map((block) => block.innerHTML).join(""))

/** What the whole text is when it is rendered at once. As text, as the modules are those of the page. */
const rightOn = (page: View["page"], text: string) =>
  page.evaluate<string>(`(async () => {
    const { toHtml } = await import("/blocks.ts")
    const { default: purify } = await import("dompurify")
    return purify.sanitize(toHtml(${JSON.stringify(text)}), { USE_PROFILES: { html: true } })
  })()`)

/** Waits until the figures stand in the form. */
export const ready = ({ page }: View) =>
  page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>("#figures")!.value !== "")

/** Orders a report, and waits for its first table. */
export const order = async (view: View) => {
  await ready(view)
  await view.page.getByRole("button", { name: "Write the report" }).click()
  await view.page.locator("#report table").first().waitFor()
}
