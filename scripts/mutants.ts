/**
 * Breaks one guarantee after the other, and expects the tests to notice.
 *
 * `mutants/guarantee-NN.ts` lists the mutants of a guarantee: each edits the code, and names the test that must then
 * fail. They are tried one at a time in a copy of the work tree; the test must pass there before it may fail.
 * `--check` tries none: it only says which of them no longer fit the code.
 */
import { type ExecFileException, execFile } from "node:child_process"
import {
  cpSync,
  existsSync,
  globSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import type { Mutant } from "../mutants/Mutant.ts"

interface Outcome {
  readonly failed: boolean
  /** It took too long, and was ended. */
  readonly ended: boolean
  readonly output: string
}

/** What `vitest --reporter json` writes, as far as it is read here. */
interface Report {
  readonly testResults: ReadonlyArray<{
    readonly message: string
    readonly assertionResults: ReadonlyArray<{
      readonly fullName: string
      readonly status: string
      readonly failureMessages: ReadonlyArray<string>
    }>
  }>
}

const usage = "pnpm mutants [--check] [--guarantee N] [--part K/N] [--only NAME]"
const timeout = 120_000

const fail = (message: string): never => {
  console.error(message)
  process.exit(1)
}

const run = (command: string, args: ReadonlyArray<string>, cwd: string): Promise<Outcome> =>
  new Promise((done) => {
    const finish = (error: ExecFileException | null, stdout: string, stderr: string) =>
      done({ failed: error !== null, ended: error?.killed === true, output: `${stdout}${stderr}` })
    // In CI the report of the whole suite has a place of its own, which would be written over.
    const env = { ...process.env, CI: "" }
    execFile(command, args, { cwd, env, timeout, killSignal: "SIGKILL", maxBuffer: Infinity }, finish)
  })

const readList = async (file: string): Promise<ReadonlyArray<Mutant>> => {
  const { default: list } = (await import(pathToFileURL(resolve(file)).href)) as { default: ReadonlyArray<Mutant> }
  const number = Number.parseInt(basename(file).replace(/\D+/, ""), 10)
  const stray = list.find(({ guarantee }) => guarantee !== number)
  return stray === undefined ? list : fail(`${file}: ${stray.id} is a mutant of guarantee ${stray.guarantee}.`)
}

/** Finds a text however it is formatted: white space counts only between two words. */
const patternOf = (find: string): RegExp => {
  const tokens = find.match(/[\w$]+|[^\w$\s]/gu) ?? []
  const isWord = (token = "") => /^[\w$]/.test(token)
  const pattern = tokens.map((token, i) => {
    const space = i === 0 ? "" : isWord(token) && isWord(tokens[i - 1]) ? "\\s+" : "\\s*"
    return space + token.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&")
  })
  const start = isWord(tokens[0]) ? "(?<![\\w$])" : ""
  const end = isWord(tokens.at(-1)) ? "(?![\\w$])" : ""
  return new RegExp(`${start}${pattern.join("")}${end}`, "gu")
}

/** The files that a mutant changes, with their texts as it leaves them, or why it does not fit the code. */
const mutate = (mutant: Mutant, root: string): ReadonlyMap<string, string> | string => {
  const texts = new Map<string, string>()
  for (const { file, find, replace } of "edits" in mutant ? mutant.edits : [mutant]) {
    const path = join(root, file)
    if (!existsSync(path)) return `there is no ${file}`
    const text = texts.get(path) ?? readFileSync(path, "utf8")
    const [found, ...more] = text.matchAll(patternOf(find))
    if (found === undefined || more.length > 0) {
      return `this must stand exactly once in ${file}, and stands there ${found ? more.length + 1 : 0} times: ${find}`
    }
    texts.set(path, text.slice(0, found.index) + replace + text.slice(found.index + found[0].length))
  }
  return texts
}

/** Every n-th mutant, from the k-th on: the parts of a day each make the whole. */
const partOf = (mutants: ReadonlyArray<Mutant>, part: string): ReadonlyArray<Mutant> => {
  const [k = 0, n = 0] = /^\d+\/\d+$/.test(part) ? part.split("/").map(Number) : []
  return k >= 1 && k <= n
    ? mutants.filter((_, i) => i % n === k - 1)
    : fail(`'${part}' is not a part, such as 1/4. ${usage}`)
}

/** A copy of the work tree whose packages are its own, and whose dependencies are those that are installed. */
const copyWorkTree = async (): Promise<string> => {
  const copy = realpathSync(mkdtempSync(join(tmpdir(), "baton-mutants-")))
  process.on("exit", () => rmSync(copy, { recursive: true, force: true }))
  process.on("SIGINT", () => process.exit(130))
  process.on("SIGTERM", () => process.exit(143))

  const listed = await run("git", ["ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate"], ".")
  if (listed.failed) fail(listed.output)
  const files = globSync(listed.output.split("\n").filter((file) => file !== ""))
  for (const file of files) cpSync(file, join(copy, file))

  // The links in node_modules are relative: in the copy they lead to the packages of the copy.
  for (const folder of globSync(["node_modules", "packages/*/node_modules", "examples/node_modules"])) {
    const filter = (path: string) => dirname(path) !== folder || !basename(path).startsWith(".")
    cpSync(folder, join(copy, folder), { recursive: true, verbatimSymlinks: true, filter })
  }
  symlinkSync(resolve("node_modules/.pnpm"), join(copy, "node_modules/.pnpm"))
  return copy
}

const vitest = async ({ test, title = "" }: Mutant, copy: string) => {
  const outputFile = join(copy, "report.json")
  rmSync(outputFile, { force: true })
  const only = title === "" ? [] : ["--testNamePattern", title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&")]
  const limits = ["--bail", "1", "--testTimeout", String(timeout / 2)]
  const args = ["run", test, ...only, ...limits, "--reporter", "json", "--outputFile", outputFile]
  const { ended, failed, output } = await run(process.execPath, ["node_modules/vitest/vitest.mjs", ...args], copy)
  const results = globSync(outputFile).flatMap((file) => (JSON.parse(readFileSync(file, "utf8")) as Report).testResults)
  const tests = results.flatMap(({ assertionResults }) => assertionResults)
  const failures = tests.filter(({ status }) => status === "failed")
  return {
    failed,
    passed: tests.some(({ status }) => status === "passed"),
    // A program that does not load breaks no guarantee. One that hangs does.
    noticed: failures.length > 0 || ended,
    why: [
      ended ? `it took longer than ${timeout / 1000} s` : output,
      ...results.map(({ message }) => message),
      ...failures.map(({ failureMessages, fullName }) => `${fullName}: ${failureMessages.join("\n")}`)
    ].join("\n")
  }
}

const { values } = parseArgs({
  options: {
    check: { type: "boolean", default: false },
    guarantee: { type: "string" },
    part: { type: "string" },
    only: { type: "string", default: "" }
  }
})
const all = (await Promise.all(globSync("mutants/guarantee-*.ts").toSorted().map(readList))).flat()
const twice = all.find(({ id }, i) => all.findIndex((other) => other.id === id) < i)
if (twice !== undefined) fail(`Two mutants have the name ${twice.id}.`)

const named = all.filter(
  ({ guarantee, id }) =>
    id.includes(values.only) && (values.guarantee === undefined || guarantee === Number(values.guarantee))
)
const mutants = values.part === undefined ? named : partOf(named, values.part)
if (mutants.length === 0) fail(`There is no such mutant. ${usage}`)

if (values.check) {
  const wrong = mutants.flatMap((mutant) => {
    const texts = mutate(mutant, ".")
    return [
      ...(typeof texts === "string" ? [`${mutant.id}: ${texts}`] : []),
      ...(existsSync(mutant.test) ? [] : [`${mutant.id}: there is no ${mutant.test}`])
    ]
  })
  if (wrong.length > 0) fail(`These mutants (mutants/*.ts) do not fit the code:\n${wrong.join("\n")}`)
  console.log(`mutants: ${mutants.length} fit the code`)
  process.exit(0)
}

const copy = await copyWorkTree()
const sound = new Set<string>()

/** How a mutant ended: `caught`, or what is wrong. */
const examine = async (mutant: Mutant): Promise<string> => {
  const texts = mutate(mutant, copy)
  if (typeof texts === "string") return `DOES NOT FIT THE CODE: ${texts}`

  const test = `${mutant.test} ${mutant.title ?? ""}`.trim()
  if (!sound.has(test)) {
    const { failed, passed, why } = await vitest(mutant, copy)
    if (failed) return `NOT TRIED, because ${test} fails without it:\n${why}`
    if (!passed) return `NOT TRIED, because there is no ${test}`
    sound.add(test)
  }

  const before = [...texts.keys()].map((path) => [path, readFileSync(path, "utf8")] as const)
  for (const [path, text] of texts) writeFileSync(path, text)
  const { failed, noticed, why } = await vitest(mutant, copy)
  for (const [path, text] of before) writeFileSync(path, text)
  if (!failed)
    return `SURVIVED: ${test} passes although this is broken: guarantee ${mutant.guarantee}, ${mutant.breaks}`
  return noticed ? "caught" : `DOES NOT RUN:\n${why}`
}

let caught = 0
let survived = 0
for (const mutant of mutants) {
  const before = performance.now()
  const how = await examine(mutant)
  const seconds = ((performance.now() - before) / 1000).toFixed(1)
  if (how === "caught") caught++
  if (how.startsWith("SURVIVED")) survived++
  console.log(`${mutant.id}: ${how === "caught" ? `caught by ${mutant.test} (${seconds} s)` : how}`)
}

const untried = mutants.length - caught - survived
console.log(`mutants: ${caught} caught, ${survived} survived${untried > 0 ? `, ${untried} could not be tried` : ""}`)
process.exit(caught === mutants.length ? 0 : 1)
