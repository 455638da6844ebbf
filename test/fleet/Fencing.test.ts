// The checker of histories: it passes sound ones, and names each kind of fault.
import { assert, describe, it } from "@effect/vitest"
import { repeated, violations } from "./fencing.ts"
import type { Operation } from "./history.ts"

let number = 0
const step = (
  worker: string,
  what: Operation["what"],
  begin: number,
  fence: number,
  more: Partial<Operation> = {}
): Operation => ({
  worker,
  number: ++number,
  owner: `${worker}/${number}`,
  what,
  runId: "r",
  begin,
  end: begin + 1,
  done: true,
  fence,
  ...more
})
const commit = (worker: string, begin: number, fence: number, ordinal: number, position: number) =>
  step(worker, "commit", begin, fence, { ordinal, position, outcome: "written" })
const decide = (worker: string, begin: number, fence: number, fact: string, more: Partial<Operation> = {}) =>
  step(worker, "commit", begin, fence, { facts: [fact], outcome: "written", ...more })

const sound: ReadonlyArray<Operation> = [
  step("a", "acquire", 0, 10),
  decide("a", 1, 10, "Requested"),
  commit("a", 2, 10, 1, 3),
  commit("a", 4, 10, 2, 7),
  step("b", "acquire", 20, 11),
  commit("b", 22, 11, 3, 9),
  step("b", "release", 24, 11),
  step("a", "acquire", 30, 12),
  decide("a", 31, 12, "Ended", { ordinal: 4, position: 20, outcome: "moved" }),
  decide("a", 32, 12, "Ended", { ordinal: 5, position: 20 }),
  decide("a", 34, 12, "Delivered")
]

describe("the checker of the fencing law", () => {
  it("passes a sound history, and one whose end nobody saw", () => {
    assert.deepStrictEqual(violations(sound), [])
    const { done: _, end: __, ...cut } = commit("a", 40, 10, 9, 99)
    assert.deepStrictEqual(violations([...sound, cut, { ...commit("a", 40, 10, 9, 99), done: false }]), [])
  })

  it("passes a commit that overlaps the grant of a later fence", () => {
    assert.deepStrictEqual(violations([...sound, { ...commit("a", 19.5, 10, 2, 7), end: 25 }]), [])
  })

  it("names a commit under a fence that was over", () => {
    const late = /a commit under 10 succeeded after 11/
    assert.match(violations([...sound, commit("a", 26, 10, 2, 7)]).join("\n"), late)
    assert.match(violations([...sound, decide("a", 26, 10, "Requested")]).join("\n"), late)
    assert.match(violations([...sound, decide("a", 26, 10, "Requested", { outcome: "moved" })]).join("\n"), late)
  })

  it("names a commit of another holder after all was delivered", () => {
    const again = [step("b", "acquire", 40, 13), decide("b", 42, 13, "Ended")]
    assert.match(violations([...sound, ...again]).join("\n"), /a commit under 13 after 12 had delivered all/)
  })

  it("names a fence that went back", () => {
    assert.match(violations([...sound, step("c", "acquire", 50, 5)]).join("\n"), /fence 5 was given after/)
  })

  it("names a fence that was given twice", () => {
    assert.match(violations([...sound, step("c", "acquire", 50, 12)]).join("\n"), /fence 12 was given after 12/)
  })

  it("names a position and an ordinal that went back", () => {
    assert.match(
      violations([...sound.slice(0, 5), commit("b", 22, 11, 3, 5)]).join("\n"),
      /position 5 under 11 after 7/
    )
    assert.match(violations([...sound.slice(0, 5), commit("b", 22, 11, 2, 9)]).join("\n"), /ordinal 2 under 11 after 2/)
  })
})

describe("the checker of what comes again", () => {
  const line = (worker: string, at: number, position: string) => ({ worker, at, position, text: "" })

  it("passes what had not been written when the next worker took the run", () => {
    const part = { ...commit("b", 26, 11, 4, 10), skip: 2 }
    const lines = [
      line("a", 3, "3.0"),
      line("a", 9, "8.0"),
      line("b", 22, "8.0"),
      line("a", 33, "10.3"),
      line("a", 33, "10.0")
    ]
    assert.deepStrictEqual(repeated([...sound, part], "r", lines), [])
    assert.match(repeated([...sound, part], "r", [line("a", 33, "10.2")]).join(), /a delivered 10.2 under 12/)
  })

  it("names what had been written, and whoever never had the run", () => {
    assert.match(
      repeated(sound, "r", [line("b", 22, "6.0")]).join(),
      /b delivered 6.0 under 11, and 7.5 was written before/
    )
    assert.match(repeated(sound, "r", [line("b", 22, "7.0")]).join(), /b delivered 7.0 under 11/)
    assert.match(repeated(sound, "r", [line("b", 10, "8.0")]).join(), /never had the run/)
  })
})
