/**
 * Checks GUARANTEES.md against the repository: its links, the titles of tests that it quotes, the mutants that it counts,
 * the facts of the journal that it names, and the numbers by which other files refer to guarantees.
 */
import { AgentError, RunRecord } from "@effect-baton/core"
import { execFileSync } from "node:child_process"
import { existsSync, globSync, readFileSync } from "node:fs"
import { basename, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type { Mutant } from "../mutants/Mutant.ts"

const page = "GUARANTEES.md"
const problems: Array<string> = []
const problem = (text: string) => void problems.push(text)

/** The parts of a text that begin with such a heading: what the heading says, and what stands below it. */
const sectionsOf = (text: string, marks: string): ReadonlyArray<{ readonly title: string; readonly body: string }> =>
  text
    .split(new RegExp(`^${marks} `, "m"))
    .slice(1)
    .map((section) => {
      const [title = "", ...body] = section.split("\n")
      return { title, body: body.join("\n") }
    })

const linksIn = (text: string): ReadonlyArray<string> =>
  [...text.matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, target = ""]) => (/^(https?:|#)/.test(target) ? [] : [target]))

/** The texts between quotes or backticks in a program. */
const stringsIn = (program: string): ReadonlyArray<string> =>
  [...program.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)].map(
    ([, quoted, template = ""]) => quoted ?? template
  )

const read = (file: string): string => readFileSync(file, "utf8").replaceAll("\r\n", "\n")

const text = read(page)
const chapters = sectionsOf(text, "##")
const guarantees = sectionsOf(text, "###").flatMap(({ body, title }) => {
  const number = /^(\d+)\. /.exec(title)?.[1]
  return number === undefined ? [] : [{ number: Number(number), title, body: body.split(/^## /m)[0]! }]
})
const numbers = guarantees.map(({ number }) => number)
if (guarantees.length === 0) problem("no heading names a guarantee, such as '### 1. Prefix law'")
for (const [i, number] of numbers.entries()) {
  if (number !== i + 1) problem(`guarantee ${number} stands where guarantee ${i + 1} is expected`)
}

const files = [...new Set(linksIn(text))]
for (const file of files) if (!existsSync(file)) problem(`it links to ${file}, which does not exist`)

let quoted = 0
for (const line of text.split("\n")) {
  const test = /^\s*- \[[^\]]+\]\(([^)\s]+\.test\.ts)\)/.exec(line)?.[1]
  if (test === undefined || !existsSync(test)) continue
  const strings = stringsIn(read(test))
  for (const [, title = ""] of line.matchAll(/"([^"]+)"/g)) {
    quoted++
    if (!strings.some((string) => string.includes(title))) problem(`${test} has no test "${title}"`)
  }
}
if (quoted === 0) problem("no title of a test is quoted")

const lists = await Promise.all(
  globSync("mutants/guarantee-*.ts")
    .toSorted()
    .map(async (file) => {
      const { default: list } = (await import(pathToFileURL(resolve(file)).href)) as { default: ReadonlyArray<Mutant> }
      return { file, list }
    })
)
const mutants = lists.flatMap(({ list }) => list)
for (const stray of new Set(mutants.map(({ guarantee }) => guarantee).filter((number) => !numbers.includes(number)))) {
  const ids = mutants.filter(({ guarantee }) => guarantee === stray).map(({ id }) => id)
  problem(`there is no guarantee ${stray}, which these mutants break: ${ids.join(", ")}`)
}
for (const { body, number } of guarantees) {
  const count = mutants.filter(({ guarantee }) => guarantee === number).length
  const where = lists.filter(({ list }) => list.some(({ guarantee }) => guarantee === number)).map(({ file }) => file)
  if (count === 0) {
    if (!/not built yet/i.test(body))
      problem(`no mutant breaks guarantee ${number}, and it is not said to be "not built yet"`)
    continue
  }
  const [, told, places = "", command] =
    /^Mutants: (\d+), in (.+)\. Try them: `npx -y pnpm@10 mutants --guarantee (\d+)`\.$/m.exec(body) ?? []
  if (told === undefined) {
    problem(
      `guarantee ${number} has no line "Mutants: ${count}, in [${basename(where[0]!)}](${where[0]!}). Try them: …"`
    )
    continue
  }
  if (Number(told) !== count) problem(`guarantee ${number} has ${count} mutants, and not ${told}`)
  if (Number(command) !== number)
    problem(`guarantee ${number} gives the command for the mutants of guarantee ${command}`)
  const named = linksIn(places)
  for (const file of where)
    if (!named.includes(file)) problem(`guarantee ${number} has mutants in ${file}, which it does not name`)
  for (const file of named) if (!where.includes(file)) problem(`guarantee ${number} has no mutants in ${file}`)
  if (!linksIn(body).some((file) => file.endsWith(".test.ts"))) problem(`guarantee ${number} names no test`)
}

const facts = Object.keys(RunRecord.Fact.cases)
const errors = Object.keys(AgentError)
const dying = chapters.find(({ title }) => /worker dies/.test(title))?.body
if (dying === undefined) problem("no heading '## What happens if a worker dies'")
for (const [, name = ""] of (dying ?? "").matchAll(/`([A-Z][A-Za-z]+)`/g)) {
  if (!facts.includes(name) && !errors.includes(name)) problem(`${name} is no fact of RunRecord, and no error`)
}
const lines = [...(dying ?? "").matchAll(/^\d+\. \*\*(.+?)\*\*(.*)$/gm)].map(([, lead = "", rest = ""]) => ({
  lead,
  rest
}))
const written = globSync("packages/*/src/**/*.ts", { exclude: ["packages/testing/**"] })
  .map(read)
  .join("\n")
for (const fact of facts) {
  const about = lines.filter(({ lead }) => lead.includes(`\`${fact}\``))
  const isUnwritten = about.some(({ rest }) => /no code writes this fact/i.test(rest))
  const sides = isUnwritten
    ? []
    : ["Before", "After"].filter((side) => !about.some(({ lead }) => lead.startsWith(side)))
  // A type says `readonly _tag`.
  if (isUnwritten && new RegExp(`(?<!readonly )_tag: "${fact}"`).test(written)) {
    problem(`it says that no code writes the fact ${fact}, and packages/ has code that does`)
  }
  if (about.length === 0) problem(`the fact ${fact} is left out of what happens if a worker dies`)
  else for (const side of sides) problem(`no line begins with **${side} \`${fact}\`.**`)
}

const listed = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "*.ts", "*.md"], {
  encoding: "utf8"
})
for (const file of [...new Set(listed.split("\n"))].filter((name) => name !== "" && existsSync(name))) {
  // A reference may go on in the next line of a comment.
  const references = read(file).matchAll(
    /\bguarantees?[\s*/]+(\d+(?:(?:\s*,\s*|\s*,?\s+(?:and|or|to)\s+|\s*[-–]\s*)\d+)*)\b/gi
  )
  for (const [reference, of = ""] of references) {
    for (const number of of.match(/\d+/g) ?? []) {
      if (!numbers.includes(Number(number)))
        problem(`${file} speaks of "${reference.replace(/[\s*/]+/g, " ")}", and there is no guarantee ${number}`)
    }
  }
}

if (problems.length > 0) {
  console.error(`${page} does not agree with the repository:\n${problems.map((line) => `- ${line}`).join("\n")}`)
  process.exit(1)
}
console.log(`${guarantees.length} guarantees, ${mutants.length} mutants, ${facts.length} facts`)
