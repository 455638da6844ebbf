// Pictures of the page for the README, into docs/images: `node test/browser/screenshot.program.ts`. They show a report that
// goes on after its first process was killed: on a desk, and on a phone in the dark.
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Console, Effect } from "effect"
import { model } from "../../examples/web/model.ts"
import { launch } from "./chromium.ts"
import { served } from "./served.ts"

const images = new URL("../../docs/images/", import.meta.url).pathname

const program = Effect.gen(function* () {
  const { provider, url } = yield* served(model)
  yield* provider.setPace("25 millis")
  const browser = yield* Effect.acquireRelease(Effect.promise(launch), (open) => Effect.promise(() => open.close()))
  yield* Effect.promise(async () => {
    const desk = await browser.newPage({ viewport: { width: 1280, height: 800 } })
    await desk.goto(url)
    await desk.waitForFunction(() => document.querySelector<HTMLTextAreaElement>("#figures")!.value !== "")
    await desk.getByRole("button", { name: "Write the report" }).click()
    await desk.locator("#report table").first().waitFor()
    await desk.getByRole("button", { name: "Kill the worker" }).click()
    await desk.locator('#state[data-state="lost"]').waitFor()
    await desk.locator('#state[data-state="in_progress"]').waitFor()
    await desk.locator("#report table").nth(1).waitFor()
    await desk.mouse.move(0, 0)
    await desk.screenshot({ path: `${images}web.png`, animations: "disabled" })
    const phone = await browser.newPage({
      viewport: { width: 390, height: 844 },
      colorScheme: "dark",
      deviceScaleFactor: 2
    })
    await phone.goto(desk.url())
    await phone.locator("#report table").nth(1).waitFor()
    await phone.screenshot({ path: `${images}web-phone.png`, animations: "disabled" })
  })
  yield* Console.log(`${images}web.png and web-phone.png`)
})

program.pipe(Effect.scoped, Effect.provide(NodeServices.layer), NodeRuntime.runMain)
