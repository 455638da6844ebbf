/**
 * Puts what is measured where a user would have it: the packages as they are published (plain JavaScript: Node would
 * take the types out of sources at every start), and beside them the programs that use them.
 */
import { transform } from "esbuild"
import { globSync } from "node:fs"
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join, resolve } from "node:path"
import { bundle } from "../scripts/bundle.ts"

const root = resolve(import.meta.dirname, "..")

/** Where all of it is for the bench. */
export const place = join(root, ".cache/bench")

// The sources say `./Run.ts`, what is published says `./Run.js`.
const relative = (code: string) => code.replace(/(from |import\()"(\.[^"]*)\.ts"/g, '$1"$2.js"')

const compile = async (from: string, to: string, change = (source: string) => source) => {
  const { code } = await transform(change(await readFile(from, "utf8")), {
    loader: "ts",
    target: "es2023",
    tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } }
  })
  await mkdir(dirname(to), { recursive: true })
  await writeFile(to, relative(code))
}

const compileAll = (from: string, to: string, change?: (source: string) => string) =>
  Promise.all(
    globSync("**/*.ts", { cwd: from }).map((file) =>
      compile(join(from, file), join(to, file.replace(/\.ts$/, ".js")), change)
    )
  )

// `import { Effect, Stream } from "effect"` becomes one `import * as Effect from "effect/Effect"` for each.
const bySubpath = (source: string) =>
  source.replace(
    /^import \{ ([\w, ]+) \} from "(effect|@effect\/platform-node|@effect-baton\/\w+)"$/gm,
    (_, names: string, from: string) =>
      names
        .split(", ")
        .map((name) => `import * as ${name} from "${from}/${name}"`)
        .join("\n")
  )

/** How a program names what it imports: as the README does, or each module by its path, which loads less. */
export type Form = "readme" | "subpath"

/** Where a program of this folder is after the build. */
export const programAt = (name: string, form: Form = "readme", at = place) => join(at, form, `${name}.program.js`)

/** Builds all packages and programs. */
export const build = async (at = place) => {
  await rm(at, { recursive: true, force: true })
  const packages = globSync("packages/*", { cwd: root }).map(async (folder) => {
    const from = join(root, folder)
    const manifest = JSON.parse(await readFile(join(from, "package.json"), "utf8"))
    const to = join(at, "node_modules", manifest.name)
    await bundle(join(from, "src"), join(to, "dist"))
    await writeFile(join(to, "package.json"), JSON.stringify({ ...manifest, ...manifest.publishConfig }))
  })
  await Promise.all([
    ...packages,
    compileAll(import.meta.dirname, join(at, "readme")),
    compileAll(import.meta.dirname, join(at, "subpath"), bySubpath)
  ])
  await writeFile(join(at, "package.json"), JSON.stringify({ type: "module" }))
}
