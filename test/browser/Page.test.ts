// The page of examples/web in a real browser: what it shows in the end is what the provider wrote, whatever came between.
import { assert, it } from "@effect/vitest"
import { describeBrowser, openBrowser } from "./browser.ts"
import { startRelay } from "./relay.ts"
import { is, order, ready, startWeb, tabTo } from "./web.ts"

describeBrowser("the page", () => {
  const start = startWeb()
  const browse = openBrowser()

  it("shows the report of the figures", async () => {
    const web = await start()
    await web.pace(0)
    const view = await (await browse()).open(web.url)
    await order(view)
    await web.completes(view)
  })

  it("works by keyboard: order, and stop", async () => {
    const web = await start()
    await web.pace("20 millis")
    const view = await (await browse()).open(web.url)
    await ready(view)
    await tabTo(view, "#figures")
    await tabTo(view, "button")
    await view.page.keyboard.press("Enter")
    await view.page.locator("#report table").first().waitFor()
    await web.pace("200 millis")
    await tabTo(view, "#stop")
    await view.page.keyboard.press("Enter")
    await is(view, "cancelled")
    assert.isAbove(await web.isPrefix(view), 50)
    assert.deepStrictEqual(
      (await web.bought()).map(({ status }) => status),
      ["cancelled"]
    )
    const before = await view.page.locator("#report").innerText()
    await view.page.reload()
    await is(view, "cancelled")
    assert.strictEqual(await view.page.locator("#report").innerText(), before)
  })

  it("goes on where it was when it is loaded again", async () => {
    const web = await start()
    const view = await (await browse()).open(web.url)
    await web.begin(view)
    for (let i = 0; i < 3; i++) {
      await view.page.reload()
      await view.page.locator("#report table").first().waitFor()
    }
    await web.pace(0)
    await web.completes(view)
    await view.page.reload()
    await web.completes(view)
  })

  it("shows the same in two tabs", async () => {
    const web = await start()
    const browser = await browse()
    const first = await browser.open(web.url)
    await web.begin(first)
    const second = await browser.opened(() => first.page.getByRole("link", { name: "Open a second tab" }).click())
    await second.page.locator("#report table").first().waitFor()
    await web.pace(0)
    await Promise.all([web.completes(first), web.completes(second)])
  })

  it("goes on after it was offline, also if the report was finished meanwhile", async () => {
    const web = await start()
    const relay = await startRelay(web.url)
    const { context, open } = await browse()
    const view = await open(relay.url)
    await web.begin(view)
    for (const meanwhile of ["under way", "finished"]) {
      await context.setOffline(true)
      relay.cut(true)
      await is(view, "lost")
      assert.isAbove(await web.isPrefix(view), 50)
      if (meanwhile === "finished") {
        await web.pace(0)
        await web.isBought("completed")
      }
      relay.cut(false)
      await context.setOffline(false)
      await is(view, meanwhile === "finished" ? "completed" : "in_progress")
    }
    await web.completes(view)
    await context.setOffline(true)
    await view.page.waitForFunction(() => !navigator.onLine)
    await is(view, "completed")
  })

  it("goes on after its worker and server was killed, twice, in both of its tabs", async () => {
    const web = await start()
    const browser = await browse()
    const first = await browser.open(web.url)
    await web.begin(first)
    const second = await browser.open(first.page.url())
    for (let i = 0; i < 2; i++) {
      const pid = await web.pid()
      await first.page.getByRole("button", { name: "Kill the worker" }).click()
      await Promise.all([is(first, "lost"), is(second, "lost")])
      assert.isAbove(await web.isPrefix(second), 50)
      await Promise.all([is(first, "in_progress"), is(second, "in_progress")])
      assert.notStrictEqual(await web.pid(), pid)
      await first.page.getByText(`Process ${await web.pid()} sends the report`).waitFor()
    }
    await web.pace(0)
    await Promise.all([web.completes(first), web.completes(second)])
  })

  it("goes on if it is loaded while there is no process", async () => {
    const web = await start()
    const view = await (await browse()).open(web.url)
    // Killed before it has text, a process may have sent a request that nobody knows of: such a run waits for a person.
    await web.begin(view)
    await view.page.getByRole("button", { name: "Kill the worker" }).click()
    await is(view, "lost")
    await view.page.reload()
    await web.pace(0)
    await web.completes(view)
  })

  it("says that there is no such run", async () => {
    const web = await start()
    const view = await (await browse()).open(`${web.url}?run=nothing`)
    await view.page.getByText("There is no such run").waitFor()
  })

  it("keeps the order if there is no answer, and sends it again as the same run", async () => {
    const web = await start()
    await web.pace(0)
    const { open, context } = await browse()
    const view = await open(web.url)
    const ids = new Set<string | undefined>()
    // The server gets the order, and its answer is lost.
    await context.route("**/runs", async (route) => {
      ids.add(route.request().headers()["idempotency-key"])
      await route.fetch()
      await route.abort()
    })
    await ready(view)
    await view.page.getByRole("button", { name: "Write the report" }).click()
    await view.page.getByRole("alert").getByText("There was no answer.").waitFor()
    await context.unroute("**/runs")
    await order(view)
    assert.strictEqual(new URL(view.page.url()).searchParams.get("run"), [...ids][0])
    await web.completes(view)
  })

  it("begins again if the log was lost", async () => {
    const web = await start()
    const { context, open } = await browse()
    const update = (id: string, text: string) =>
      `event: update\nid: ${id}\ndata: ${JSON.stringify({ text, status: "in_progress" })}\n\n`
    await context.route("**/runs/r/updates", (route) =>
      route.fulfill({
        contentType: "text/event-stream",
        body: [
          update("1.1", "# Lost"),
          "event: reset\nid: \ndata: {}\n\n",
          update("1.2", "# Fo"),
          update("2.2", "und"),
          'event: end\ndata: {"status":"completed"}\n\n'
        ].join("")
      })
    )
    const view = await open(`${web.url}?run=r`)
    await is(view, "completed")
    assert.strictEqual(await view.page.locator("#report").innerText(), "Found")
    assert.notInclude(await view.page.locator("#events").innerText(), "came after")
  })

  for (const [name, width, colorScheme] of [
    ["a phone in the dark", 390, "dark"],
    ["the narrowest of screens", 320, "light"],
    ["a desk", 1280, "light"]
  ] as const) {
    it(`fits ${name}`, async () => {
      const web = await start()
      await web.pace(0)
      const { open } = await browse({ viewport: { width, height: 800 }, colorScheme, reducedMotion: "reduce" })
      const view = await open(web.url)
      const fits = async () => {
        const [scrolls, paper] = await view.page.evaluate(
          () => [document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor] as const
        )
        assert.isAtMost(scrolls, width)
        const lightness = (paper.match(/\d+/g) ?? []).map(Number)
        assert.strictEqual(lightness.length === 3 && Math.max(...lightness) < 128, colorScheme === "dark", paper)
      }
      await fits()
      await order(view)
      await web.completes(view)
      await fits()
    })
  }
})
