// Tool calls on the page of examples/web: what was called, what came of it, and what waits for the reader.
import { assert, it } from "@effect/vitest"
import { model } from "../../examples/web/model.ts"
import { describeBrowser, openBrowser, type View } from "./browser.ts"
import { is, order, startWeb, tabTo } from "./web.ts"

const callsOf = ({ page }: View) => page.locator("#calls li").allInnerTexts()
const asks = ({ page }: View) => page.locator("#asks li")
const button = ({ page }: View, name: string) => page.getByRole("button", { name: new RegExp(`^${name}`) })

const looked = /^lookUp \{"region":"North"\} → \{"months":12,"revenue":\d+\}$/
const sending = 'sendReport {"to":"board@example.org"} → '

describeBrowser("calls on the page", () => {
  const start = startWeb(model)
  const browse = openBrowser()

  /** Orders a report, and waits until it is written and its sending waits for approval. */
  const waiting = async (options?: Parameters<Awaited<ReturnType<typeof browse>>["open"]>[0]) => {
    const web = await start()
    await web.pace(0)
    const browser = await browse()
    const view = await browser.open(options ?? web.url)
    await order(view)
    await is(view, "approval")
    await asks(view).waitFor()
    return { web, browser, view }
  }

  const sent = async (view: View, outcome: string) => {
    const [first = "", ...others] = await callsOf(view)
    assert.match(first, looked)
    assert.deepStrictEqual(others, [sending + outcome])
    assert.strictEqual(await asks(view).count(), 0)
  }

  it("are shown with their results; a report is sent once it is approved, also after the page is loaded again", async () => {
    const { view, web } = await waiting()
    const text = await view.page.locator("#report").innerText()
    await view.page.reload()
    await is(view, "approval")
    assert.strictEqual(await view.page.locator("#report").innerText(), text)
    assert.strictEqual(await asks(view).locator("p").first().innerText(), `May it call ${sending.slice(0, -3)}?`)
    const [first = "", ...others] = await callsOf(view)
    assert.match(first, looked)
    assert.deepStrictEqual(others, [`${sending}waits for your approval`])
    await button(view, "Approve").click()
    await web.completes(view, 3)
    await sent(view, '"sent to board@example.org"')
    assert.include(await view.page.locator("#report").innerText(), "The report was sent.")
    await view.page.reload()
    await web.completes(view, 3)
    await sent(view, '"sent to board@example.org"')
  })

  it("are rejected by keyboard", async () => {
    const { view, web } = await waiting()
    await tabTo(view, "#asks button:last-child")
    await view.page.keyboard.press("Enter")
    await web.completes(view, 3)
    await sent(view, "rejected: The reader said no.")
    assert.include(await view.page.locator("#report").innerText(), "The report was not sent.")
    assert.strictEqual(await view.page.locator("#state:focus").count(), 1, "the focus is not lost")
  })

  it("are approved by keyboard in a second tab, and both tabs go on", async () => {
    const { browser, view, web } = await waiting()
    const second = await browser.opened(() => view.page.getByRole("link", { name: "Open a second tab" }).click())
    await is(second, "approval")
    await tabTo(second, "#asks button:first-child")
    await second.page.keyboard.press("Enter")
    await Promise.all([web.completes(view, 3), web.completes(second, 3)])
    for (const one of [view, second]) await sent(one, '"sent to board@example.org"')
  })

  it("wait on while their worker is killed", async () => {
    const { view, web } = await waiting()
    const pid = await web.pid()
    await button(view, "Kill the worker").click()
    await is(view, "lost")
    await is(view, "approval")
    assert.notStrictEqual(await web.pid(), pid)
    await button(view, "Approve").click()
    await web.completes(view, 3)
    await sent(view, '"sent to board@example.org"')
  })

  it("can be answered again if an answer was not taken", async () => {
    const { browser, view, web } = await waiting()
    const { context } = browser
    await context.route("**/approve", (route) => route.abort())
    await button(view, "Approve").click()
    await asks(view).getByRole("alert").getByText("There was no answer.").waitFor()
    await context.unroute("**/approve")
    await context.route("**/approve", (route) =>
      route.fulfill({ status: 409, json: { title: "The call has another answer already", answer: "rejected" } })
    )
    await button(view, "Approve").click()
    await asks(view).getByRole("alert").getByText("The call has another answer already").waitFor()
    await context.unroute("**/approve")
    await button(view, "Reject").click()
    await web.completes(view, 3)
    await sent(view, "rejected: The reader said no.")
  })

  it("wait no more once the run is stopped", async () => {
    const { view, web } = await waiting()
    await button(view, "Stop the run").click()
    await is(view, "cancelled")
    await sent(view, "nobody answered")
    assert.lengthOf(await web.bought(), 2)
    assert.deepStrictEqual(view.faults, [])
  })

  for (const [name, width, colorScheme] of [
    ["a phone in the dark", 390, "dark"],
    ["the narrowest of screens", 320, "light"]
  ] as const) {
    it(`fit ${name}, and their buttons stay in sight`, async () => {
      const web = await start()
      await web.pace(0)
      const { open } = await browse({ viewport: { width, height: 700 }, colorScheme, reducedMotion: "reduce" })
      const view = await open(web.url)
      await order(view)
      await is(view, "approval")
      await view.page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight))
      for (const label of ["Approve", "Reject"]) {
        const box = (await button(view, label).boundingBox())!
        assert.isAtLeast(box.x, 0)
        assert.isAtMost(box.x + box.width, width)
        assert.isTrue(box.y >= 0 && box.y + box.height <= 700, `${label} is in sight`)
      }
      assert.isAtMost(await view.page.evaluate(() => document.documentElement.scrollWidth), width)
      await button(view, "Approve").click()
      await web.completes(view, 3)
    })
  }
})
