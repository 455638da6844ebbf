/**
 * Breaks one guarantee after the other, and expects the tests to notice.
 *
 * Every `mutants/NN-name.patch` says in its first lines which guarantee it breaks, and which test must then fail. The
 * patches are applied one at a time to a copy of the work tree; a test must pass there before it may fail.
 */
import { type ExecFileException, execFile } from "node:child_process"
import { cpSync, globSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, dirname, join, resolve } from "node:path"
import { parseArgs } from "node:util"

interface Mutant {
  readonly name: string
  readonly patch: string
  readonly guarantee: string
  readonly test: string
  /** A test of the file, where not all of them shall run. */
  readonly title: string
}

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

const usage = "pnpm mutants [--part K/N] [--only NAME]"
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

const readMutant = (file: string): Mutant => {
  const text = readFileSync(file, "utf8")
  const header = (key: string) => new RegExp(`^# ${key}: (.+)$`, "m").exec(text)?.[1]?.trim() ?? ""
  const mutant = {
    name: basename(file, ".patch"),
    patch: resolve(file),
    guarantee: header("guarantee"),
    test: header("test"),
    title: header("title")
  }
  return mutant.guarantee !== "" && mutant.test !== ""
    ? mutant
    : fail(`${file} does not say what it breaks and who notices: begin it with '# guarantee: ...' and '# test: FILE'.`)
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

const vitest = async ({ test, title }: Mutant, copy: string) => {
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

const { values } = parseArgs({ options: { part: { type: "string" }, only: { type: "string" } } })
const all = globSync("mutants/*.patch").toSorted().map(readMutant)
const named = values.only === undefined ? all : all.filter(({ name }) => name.includes(values.only ?? ""))
const mutants = values.part === undefined ? named : partOf(named, values.part)
if (mutants.length === 0) fail(`No patch in mutants/ is meant. ${usage}`)

const copy = await copyWorkTree()
const sound = new Set<string>()

/** How a mutant ended: `caught`, or what is wrong. */
const examine = async (mutant: Mutant): Promise<string> => {
  const test = `${mutant.test} ${mutant.title}`.trim()
  if (!sound.has(test)) {
    const { failed, passed, why } = await vitest(mutant, copy)
    if (failed) return `NOT TRIED, because ${test} fails without it:\n${why}`
    if (!passed) return `NOT TRIED, because there is no ${test}`
    sound.add(test)
  }
  const applied = await run("git", ["apply", mutant.patch], copy)
  if (applied.failed) return `DOES NOT APPLY: make it anew from the code as it is\n${applied.output}`
  const { failed, noticed, why } = await vitest(mutant, copy)
  const reverted = await run("git", ["apply", "--reverse", mutant.patch], copy)
  if (reverted.failed) fail(`${mutant.name} cannot be taken back:\n${reverted.output}`)
  if (!failed) return `SURVIVED: ${test} passes although this is broken: guarantee ${mutant.guarantee}`
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
  console.log(`${mutant.name}: ${how === "caught" ? `caught by ${mutant.test} (${seconds} s)` : how}`)
}

const untried = mutants.length - caught - survived
console.log(`mutants: ${caught} caught, ${survived} survived${untried > 0 ? `, ${untried} could not be tried` : ""}`)
process.exit(caught === mutants.length ? 0 : 1)
