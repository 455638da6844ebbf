/**
 * Does what the README tells a newcomer: installs the packed packages into an empty project, starts the sandbox there, and
 * runs the README's first program three times, the first time only until it has written some of its report. Run it after
 * `scripts/pack.ts`.
 */
import { execFileSync, spawn } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, resolve } from "node:path"
import { text } from "node:stream/consumers"

const at = resolve(".cache/install")
rmSync(at, { recursive: true, force: true })
mkdirSync(at, { recursive: true })

const readme = readFileSync("README.md", "utf8")
const program = /^```ts\n([^]*?)^```/m.exec(readme)?.[1] ?? ""
const packages = /^npm install (.*)$/m.exec(readme)?.[1]?.split(" ") ?? []
const tarballs = globSync(resolve(".cache/pack/*.tgz"))
const others = packages.filter((name) => !name.startsWith("@effect-baton/"))

writeFileSync(join(at, "package.json"), JSON.stringify({ private: true, type: "module" }))
writeFileSync(join(at, "report.ts"), program)
execFileSync("npm", ["install", "--no-audit", "--no-fund", "--loglevel=error", ...tarballs, ...others], {
  cwd: at,
  stdio: "inherit"
})

const sandbox = spawn(process.execPath, ["node_modules/.bin/sandbox", "--port", "0", "--pace", "10 millis"], {
  cwd: at,
  stdio: ["ignore", "pipe", "inherit"]
})
const url = await new Promise<string>((found, failed) => {
  sandbox.stdout.setEncoding("utf8").once("data", (line: string) => found(line.trim().split(" ").at(-1) ?? ""))
  sandbox.once("exit", (code) => failed(new Error(`The sandbox ended, with exit code ${code}.`)))
})

/** Runs the program, and interrupts it once it has written so much. */
const run = async (interruptAfter = Infinity): Promise<string> => {
  const child = spawn(process.execPath, ["report.ts"], {
    cwd: at,
    env: { ...process.env, OPENAI_BASE_URL: url, OPENAI_API_KEY: "sandbox", NODE_OPTIONS: "" },
    stdio: ["ignore", "pipe", "inherit"]
  })
  let written = 0
  child.stdout.on("data", (chunk: Buffer) => {
    written += chunk.length
    if (written >= interruptAfter) child.kill("SIGINT")
  })
  return text(child.stdout)
}

const first = await run(40)
const second = await run()
const third = await run()
sandbox.kill()

const [rest = "", last = ""] = second.split("\nThe report is complete: ")
const problems = [
  ...(first.length < 40 || first.includes("complete") ? ["the first run was not interrupted"] : []),
  ...(last === `${(first + rest).length} characters.\n` ? [] : ["the second run did not go on where the first was"]),
  ...(third.trim() === `The report is complete: ${last}`.trim() ? [] : ["the third run did not say that all is done"])
]
for (const problem of problems) console.error(`The README's first program: ${problem}.\n${first}\n${second}\n${third}`)
if (problems.length === 0) console.log("installed the packages, and ran the README's first program three times")
process.exit(problems.length)
