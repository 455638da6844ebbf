/**
 * Checks the examples of the documentation: every `ts` block in Markdown and in docstrings is type-checked; a block
 * with `// => result` comments is also run, and what it logs must be those results, in order. A one-line statement in
 * front of its `// =>` is logged by itself: `Option.some(1) // => some(1)`, `const two = 1 + 1 // => 2`.
 */
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { pathToFileURL } from "node:url"
import { format, inspect } from "node:util"

type Example = { readonly at: string; readonly file: string; readonly expected: ReadonlyArray<string> }

const out = resolve(".cache/docs")
const sources = ["packages/*/src/**/*.ts", "*.md", "docs/**/*.md", "packages/*/*.md"]
const block = /^([ \t]*(?:\* ?)?)```ts[ \t]*\n([^]*?)^[ \t]*(?:\* ?)?```/gm
const result = /^(.*?)\/\/ => (.*)$/

/** Whether the brackets that a piece of code opens are those it closes: then it is a whole statement. */
const balanced = (code: string) =>
  (code.match(/[([{]/g)?.length ?? 0) === (code.match(/[)\]}]/g)?.length ?? 0) && /^[\w("'`[]/.test(code)

/** Makes the statement in front of a `// =>` log its value, if it does not by itself. */
const logged = (line: string) => {
  const code = result.exec(line)?.[1]?.trim().replace(/;$/, "")
  if (!code || !balanced(code) || /console\.log|^return\b/.test(code)) return line
  const name = /^const (\w+)(?::[^=]+)? =/.exec(code)?.[1]
  return name === undefined ? `console.log(${code})` : `${code}; console.log(${name})`
}

/** Writes each example to a file of its own, on the lines it has in its source: errors then tell the true line. */
const extract = (source: string): ReadonlyArray<Example> => {
  const text = readFileSync(source, "utf8").replaceAll("\r\n", "\n")
  return [...text.matchAll(block)].map(({ 1: margin = "", 2: body = "", index }) => {
    const start = text.slice(0, index).split("\n").length
    const lines = body.split("\n").map((line) => (margin.includes("*") ? line.replace(/^\s*\* ?/, "") : line))
    const file = join(out, source, `${start}.ts`)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, "\n".repeat(start) + lines.map(logged).join("\n"))
    return { at: `${source}:${start}`, file, expected: lines.flatMap((line) => result.exec(line)?.[2] ?? []) }
  })
}

const plain = (text: string) =>
  text
    .replaceAll("'", '"')
    .replace(/\s+/g, "")
    .replace(/^"(.*)"$/, "$1")

/** Runs an example; what it logs against what it says, or undefined when they agree. */
const run = async ({ expected, file }: Example) => {
  const log = console.log
  const lines: Array<ReadonlyArray<unknown>> = []
  console.log = (...args) => void lines.push(args)
  try {
    await import(pathToFileURL(file).href)
    for (let waited = 0; lines.length < expected.length && waited < 5_000; waited += 20) await sleep(20)
  } finally {
    console.log = log
  }
  const agree =
    lines.length === expected.length &&
    lines.every((args, i) => {
      const texts = args.length === 1 ? [format(...args), inspect(args[0]), String(args[0])] : [format(...args)]
      return texts.map(plain).includes(plain(expected[i]!))
    })
  const list = (of: ReadonlyArray<string>) => of.map((line) => `\n  ${line}`).join("")
  return agree ? undefined : `says${list(expected)}\nlogs${list(lines.map((args) => format(...args)))}`
}

rmSync(out, { recursive: true, force: true })
const examples = globSync(sources).toSorted().flatMap(extract)
if (examples.length > 0) {
  writeFileSync(
    join(out, "tsconfig.json"),
    JSON.stringify({
      extends: "../../tsconfig.json",
      compilerOptions: { moduleDetection: "force", noUnusedLocals: false, noUnusedParameters: false },
      include: ["."]
    })
  )
  try {
    execFileSync(resolve("node_modules/.bin/tsc"), ["--project", out], { stdio: "inherit" })
  } catch {
    process.exit(1)
  }
}
const runnable = examples.filter(({ expected }) => expected.length > 0)
let failed = false
for (const example of runnable) {
  const difference = await run(example)
  if (difference === undefined) continue
  failed = true
  console.error(`${example.at} ${difference}`)
}
console.log(`checked ${examples.length} examples, ran ${runnable.length}`)
process.exit(failed ? 1 : 0)
