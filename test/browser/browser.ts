import { afterAll, assert, describe, it } from "@effect/vitest"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { executablePath, launch } from "./chromium.ts"

const missing =
  "There is no browser: put chromium, chromium-browser or google-chrome on the PATH. What needs one is not tested."

/** Tests that need a browser: skipped, and loudly so, where there is none, but in CI. */
export const describeBrowser = (name: string, tests: () => void): void => {
  if (executablePath !== undefined) {
    describe(name, tests)
  } else if (process.env["CI"] === "true") {
    describe(name, () => {
      it("has a browser", () => assert.fail(missing))
    })
  } else {
    console.warn(`${name}: ${missing}`)
    // oxlint-disable-next-line vitest/no-disabled-tests -- there is nothing to test with, and it is said loudly
    describe.skip(name, tests)
  }
}

/** A page, and what went wrong on it. */
export interface View {
  readonly page: Page
  /** What its scripts failed with, and what its policy refused. */
  readonly faults: ReadonlyArray<string>
  /** Where it asked. */
  readonly origins: ReadonlySet<string>
}

const viewOf = (page: Page): View => {
  const faults: Array<string> = []
  const origins = new Set<string>()
  page.on("pageerror", ({ message }) => void faults.push(message))
  page.on("request", (request) => void origins.add(new URL(request.url()).origin))
  page.on("console", (message) => {
    const said = message.text()
    // A lost connection is no fault of the page.
    if (message.type() === "error" && !said.startsWith("Failed to load resource")) faults.push(said)
  })
  return { page, faults, origins }
}

/** A browser with an empty profile: each test has its own. */
export const openBrowser = () => {
  let browser: Promise<Browser> | undefined
  afterAll(async () => (await browser)?.close())
  return async (options?: BrowserContextOptions) => {
    browser ??= launch()
    const context = await (await browser).newContext(options)
    // A busy machine takes its time.
    context.setDefaultTimeout(120_000)
    return {
      context,
      open: async (url: string): Promise<View> => {
        const view = viewOf(await context.newPage())
        await view.page.goto(url)
        return view
      },
      /** The page that this opens. */
      opened: async (act: () => Promise<void>): Promise<View> => {
        const page = context.waitForEvent("page")
        await act()
        return viewOf(await page)
      }
    }
  }
}
