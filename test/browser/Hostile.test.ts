// A report that attacks the page that shows it.
import { ResponseScript } from "@effect-baton/sandbox"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { describeBrowser, openBrowser } from "./browser.ts"
import { ready, startWeb } from "./web.ts"

const did = (what: string) => `globalThis.hacked = '${what}'`

const text = `# Report <script>${did("script")}</script>

<script>${did("block")}</script>

<img src=x onerror="${did("image")}"> <svg onload="${did("svg")}"><iframe src="javascript:parent.${did("frame")}"></iframe>

[link](javascript:${did("link")}) [data](data:text/html,<script>${did("data")}</script>) [late][1] [other](vbscript:x)

![pixel](https://tracker.invalid/pixel.png) ![x](javascript:${did("picture")}) <https://example.org/>

<a href="javascript:${did("anchor")}" id="state">click me</a> <base href="https://tracker.invalid/">

| a | b |
|---|---|
| <img src=x onerror=${did("cell").replaceAll(" ", "")}> | \`<b>\` |

<form action="/runs" method="post"><button id="kill">Kill the worker</button></form><style>body { display: none }</style>

[1]: javascript:${did("definition").replaceAll(" ", "")} "onmouseover=${did("title")}"
`

describeBrowser("a hostile report", () => {
  const start = startWeb(() => Effect.succeed(ResponseScript.message(text)))
  const browse = openBrowser()

  it("does nothing", async () => {
    const web = await start()
    const view = await (await browse()).open(web.url)
    const { page } = view
    await ready(view)
    await page.getByRole("button", { name: "Write the report" }).click()
    await page.locator('#state[data-state="completed"]').waitFor()
    const report = page.locator("#report")
    assert.strictEqual(
      await report.locator("script, img, svg, iframe, form, style, base, button, [id], [onerror], [onload]").count(),
      0
    )
    for (const link of await report.getByText(/^(link|data|late|other)$/).all()) await link.click()
    const hrefs = await report.locator("[href]").evaluateAll((all) => all.map((link) => link.getAttribute("href")))
    assert.include(hrefs, "https://example.org/")
    for (const href of hrefs) assert.match(href!, /^https:/)
    assert.strictEqual(await page.evaluate("globalThis.hacked"), undefined)
    assert.deepStrictEqual([...view.origins], [new URL(web.url).origin])
    assert.include(await report.innerText(), `<script>${did("block")}</script>`, "it is shown as it was written")
    assert.deepStrictEqual(view.faults, [])
  })

  it("would do nothing even if the page let it in", async () => {
    const web = await start()
    const view = await (await browse()).open(web.url)
    const refused = await view.page.evaluate(() => {
      const outcomes: Array<string> = []
      const attempt = (name: string, act: () => void) => {
        try {
          act()
        } catch {
          outcomes.push(name)
        }
      }
      attempt("html", () => void (document.body.innerHTML = "<img src=x onerror='globalThis.hacked = 1'>"))
      attempt("script", () => {
        const script = document.createElement("script")
        script.textContent = "globalThis.hacked = 2"
        document.body.append(script)
      })
      const image = document.createElement("img")
      attempt("handler", () => image.setAttribute("onerror", "globalThis.hacked = 3"))
      image.setAttribute("src", "https://tracker.invalid/pixel.png")
      document.body.append(image)
      return outcomes
    })
    assert.deepStrictEqual(refused, ["html", "script", "handler"])
    await view.page.waitForFunction(() => document.querySelector<HTMLImageElement>("body > img")?.complete)
    assert.strictEqual(await view.page.evaluate("globalThis.hacked"), undefined)
    assert.isAtLeast(view.faults.length, 3)
  })
})
