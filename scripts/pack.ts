/**
 * Checks what would be published: packs every package, unpacks them where a consumer would have them, lints their
 * manifests, imports every module from there, type-checks a program that imports them all, and looks that no public
 * declaration names an internal module. Run it after a build.
 */
import { execFileSync } from "node:child_process"
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { basename, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { publint } from "publint"
import { formatMessage } from "publint/utils"

const out = resolve(".cache/pack")
const problems: Array<string> = []

rmSync(out, { recursive: true, force: true })
mkdirSync(out, { recursive: true })
execFileSync("pnpm", ["--recursive", "--filter", "./packages/*", "pack", "--pack-destination", out], { stdio: "pipe" })

const modules: Array<string> = []
for (const tarball of globSync(join(out, "*.tgz")).toSorted()) {
  const name = basename(tarball).replace(/^effect-baton-(.*)-\d+\.\d+\.\d+.*$/, "@effect-baton/$1")
  const folder = join(out, "node_modules", name)
  mkdirSync(folder, { recursive: true })
  execFileSync("tar", ["-xzf", tarball, "-C", folder, "--strip-components", "1"])

  const manifest = readFileSync(join(folder, "package.json"), "utf8")
  if (/"(workspace|catalog):/.test(manifest)) problems.push(`${name}: a version of the workspace is in the manifest`)
  const { messages } = await publint({ pkgDir: folder, pack: false, strict: true })
  for (const message of messages) problems.push(`${name}: ${formatMessage(message, JSON.parse(manifest))}`)

  // A module with a small initial is a program, not for import.
  const files = globSync(["index.js", "[A-Z]*.js"], { cwd: join(folder, "dist") }).toSorted()
  if (files.length === 0) problems.push(`${name}: nothing was built`)
  // What users see is told by public modules alone. The names of laws are those of the laws, which lie within.
  for (const file of globSync("[A-Z]*.d.ts", { cwd: join(folder, "dist"), exclude: ["*Contract.d.ts"] })) {
    if (readFileSync(join(folder, "dist", file), "utf8").includes("/internal/")) {
      problems.push(`${name}: the declarations of ${file} name an internal module`)
    }
  }
  modules.push(...files.map((file) => (file === "index.js" ? name : `${name}/${basename(file, ".js")}`)))
}

const program = modules.map((module, i) => `import * as _${i} from "${module}"\nvoid _${i}\n`).join("")
writeFileSync(join(out, "program.mjs"), program)
writeFileSync(join(out, "program.ts"), program)
writeFileSync(
  join(out, "tsconfig.json"),
  JSON.stringify({
    compilerOptions: { target: "es2023", module: "nodenext", strict: true, types: [], noEmit: true },
    files: ["program.ts"]
  })
)
try {
  execFileSync("tsc", ["--project", out], { stdio: "inherit" })
} catch {
  problems.push("the packed declarations do not type-check")
}
await import(pathToFileURL(join(out, "program.mjs")).href)

for (const problem of problems) console.error(problem)
console.log(`packed ${globSync(join(out, "*.tgz")).length} packages, imported ${modules.length} modules`)
process.exit(problems.length === 0 ? 0 : 1)
