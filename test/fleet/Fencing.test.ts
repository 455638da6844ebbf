// The checker of histories: it passes sound ones, and names each kind of fault.
import { assert, describe, it } from "@effect/vitest"
import { violations } from "./fencing.ts"
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
const commit = (worker: string, begin: number, fence: number, ordinal: number, position: number | null) =>
  step(worker, "commit", begin, fence, { ordinal, position })

const sound: ReadonlyArray<Operation> = [
  step("a", "acquire", 0, 10),
  commit("a", 2, 10, 1, 3),
  commit("a", 4, 10, 2, 7),
  step("b", "acquire", 20, 11),
  commit("b", 22, 11, 3, 9),
  step("b", "release", 24, 11),
  step("a", "acquire", 30, 12),
  commit("a", 32, 12, 4, null)
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
    assert.match(violations([...sound, commit("a", 26, 10, 2, 7)]).join("\n"), /a commit under 10 succeeded after 11/)
  })

  it("names a fence that went back", () => {
    assert.match(violations([...sound, step("c", "acquire", 50, 5)]).join("\n"), /fence 5 was given after/)
  })

  it("names a fence that was given twice", () => {
    assert.match(violations([...sound, step("c", "acquire", 50, 12)]).join("\n"), /fence 12 was given after 12/)
  })

  it("names a position and an ordinal that went back", () => {
    assert.match(
      violations([...sound.slice(0, 4), commit("b", 22, 11, 3, 5)]).join("\n"),
      /position 5 under 11 after 7/
    )
    assert.match(violations([...sound.slice(0, 4), commit("b", 22, 11, 2, 9)]).join("\n"), /ordinal 2 under 11 after 2/)
  })
})
