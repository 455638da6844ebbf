import { afterAll, assert, describe, it } from "@effect/vitest"
import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const missing =
  "There is no browser: put chromium, chromium-browser or google-chrome on the PATH. What needs one is not tested."

const executablePath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((directory) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(directory, name)))
  .find(existsSync)

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

/** Asks nobody outside of this machine. */
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]

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
    browser ??= chromium.launch({ args, ...(executablePath === undefined ? {} : { executablePath }) })
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
