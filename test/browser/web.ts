import { NodeServices } from "@effect/platform-node"
import { type ResponseScript, SalesAnalyst } from "@effect-baton/sandbox"
import { assert } from "@effect/vitest"
import { type Duration, Effect, Exit, Schedule, Scope } from "effect"
import { afterAll } from "vitest"
import type { View } from "./browser.ts"
import { served } from "./served.ts"

const letters = (text: string) => text.replaceAll(/[^\p{L}\p{N}]/gu, "")
/** The letters and figures of a text in Markdown, without the numbers of its lists. */
const lettersOf = (markdown: string) => letters(markdown.replaceAll(/^\d+\. /gm, ""))

/** The sandbox's analyst, which calls no tools by rules if it is given as a model of the test. */
const plain: ResponseScript.SandboxModel = (request) => SalesAnalyst.model(request)

/** `pnpm web` for the tests of a file. */
export const startWeb = (model: ResponseScript.SandboxModel = plain) => {
  const scope = Scope.makeUnsafe()
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  let starting: Promise<Effect.Success<ReturnType<typeof served>>> | undefined

  return async () => {
    starting ??= served(model).pipe(Scope.provide(scope), Effect.provide(NodeServices.layer), Effect.runPromise)
    const { pid, provider, url } = await starting
    await Effect.runPromise(provider.clearLedger)
    const bought = async () => (await Effect.runPromise(provider.ledger)).responses
    return {
      url,
      pid: () => Effect.runPromise(pid),
      bought,
      pace: (pace: Duration.Input) => Effect.runPromise(provider.setPace(pace)),
      /** Orders a report, which then goes on so slowly that it is under way for the rest of the test. */
      begin: async (view: View) => {
        await Effect.runPromise(provider.setPace("20 millis"))
        await order(view)
        await Effect.runPromise(provider.setPace("200 millis"))
      },
      /** Waits until the provider says this of the only response. */
      isBought: (status: string) =>
        provider.ledger.pipe(
          Effect.repeat({
            until: ({ responses }) => responses.length === 1 && responses[0]!.status === status,
            schedule: Schedule.spaced("20 millis")
          }),
          Effect.runPromise
        ),
      /** Waits for the end of the report, and looks whether it is what the provider wrote, all of it and once. */
      completes: async ({ faults, page }: View, responses = 1) => {
        await page.locator('#state[data-state="completed"]').waitFor()
        const all = await bought()
        assert.lengthOf(all, responses, "each response was bought once")
        const text = all.flatMap(({ outputText }) => (outputText === "" ? [] : [outputText])).join("\n\n")
        assert.strictEqual(await shownOn(page), await rightOn(page, text))
        assert.strictEqual(letters(await page.locator("#report").innerText()), lettersOf(text))
        assert.notMatch(await page.locator("#events").innerText(), /came after|was lost/)
        assert.deepStrictEqual(faults, [])
      },
      /** Looks whether the report is a beginning of what the provider wrote. */
      isPrefix: async ({ page }: View) => {
        const written = letters(await page.locator("#report").innerText())
        const text = lettersOf((await bought())[0]!.outputText)
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

/** Waits until the page says that the run is so. */
export const is = ({ page }: View, state: string) => page.locator(`#state[data-state="${state}"]`).waitFor()

/** Goes on by the tabulator until the focus is there. */
export const tabTo = async ({ page }: View, what: string) => {
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press("Tab")
    if (await page.locator(`:focus-visible:is(${what})`).count()) return
  }
  assert.fail(`the keyboard does not reach ${what}`)
}

/** Waits until the figures stand in the form. */
export const ready = ({ page }: View) =>
  page.waitForFunction(() => document.querySelector<HTMLTextAreaElement>("#figures")!.value !== "")

/** Orders a report, and waits for its first table. */
export const order = async (view: View, question?: string) => {
  await ready(view)
  if (question !== undefined) await view.page.getByLabel("What do you want to know?").fill(question)
  await view.page.getByRole("button", { name: "Write the report" }).click()
  await view.page.locator("#report table").first().waitFor()
}
