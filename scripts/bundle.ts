/**
 * Writes the JavaScript of every package to its `dist`, beside the declarations of `tsc`: a file for each public module,
 * and what they share in few others, as Node takes its time for every file. Calls that run when a module
 * is loaded are marked as pure, so that a user's bundler can leave out what is not used.
 */
import { globSync } from "node:fs"
import { readFile, writeFile } from "node:fs/promises"
import { basename, join, resolve } from "node:path"
import { pathToFileURL } from "node:url"
import { rolldown, RolldownMagicString } from "rolldown"
import { parseAst } from "rolldown/parseAst"

interface Node {
  readonly type: string
  readonly start: number
  readonly [field: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof Reflect.get(value, "type") === "string"

const partsOf = (value: unknown): ReadonlyArray<Node> =>
  Array.isArray(value) ? value.flatMap(partsOf) : isNode(value) ? [value] : []

/** What of a class runs when it is defined: its parent, and its static fields. */
const runs = (of: Node): ReadonlyArray<Node> => [
  ...partsOf(of["superClass"]),
  ...partsOf(of["body"])
    .flatMap(({ body }) => partsOf(body))
    .filter((member) => member.type === "PropertyDefinition" && member["static"] === true)
    .flatMap((field) => partsOf(field["value"]))
]

/** Where the calls begin that run when this expression does. The mark of a chain is before its first link. */
const calls = (node: Node, inChain = false): ReadonlyArray<number> => {
  switch (node.type) {
    case "ArrowFunctionExpression":
    case "FunctionExpression":
      return []
    case "ClassDeclaration":
    case "ClassExpression":
      return runs(node).flatMap((part) => calls(part))
    case "CallExpression":
    case "NewExpression":
      return [
        ...(inChain ? [] : [node.start]),
        ...partsOf(node["callee"]).flatMap((callee) => calls(callee, true)),
        ...partsOf(node["arguments"]).flatMap((argument) => calls(argument))
      ]
    case "MemberExpression":
      return partsOf(node["object"]).flatMap((object) => calls(object, inChain))
    default:
      return Object.values(node).flatMap((field) => partsOf(field).flatMap((part) => calls(part)))
  }
}

const loaded = (statement: Node): ReadonlyArray<Node> => {
  switch (statement.type) {
    case "ExportNamedDeclaration":
    case "ExportDefaultDeclaration":
      return partsOf(statement["declaration"]).flatMap(loaded)
    case "VariableDeclaration":
      return partsOf(statement["declarations"]).flatMap(({ init }) => partsOf(init))
    case "ClassDeclaration":
      return [statement]
    default:
      return []
  }
}

const mark = "/* @__PURE__ */ "

/** Marks every call that runs when the module is loaded, and whose value is kept: nothing here is done for its effect. */
const marked = (code: string): RolldownMagicString => {
  const text = new RolldownMagicString(code)
  const begins = partsOf(parseAst(code, { lang: "ts" }).body)
    .flatMap(loaded)
    .flatMap((part) => calls(part))
  for (const at of begins) if (!code.slice(0, at).endsWith(mark)) text.appendLeft(at, mark)
  return text
}

/** Bundles the package whose sources are in `from` to `to`. */
export const bundle = async (from: string, to: string) => {
  const modules = globSync("*.ts", { cwd: from, exclude: ["index.ts"] })
  const build = await rolldown({
    input: Object.fromEntries(modules.map((file) => [basename(file, ".ts"), join(from, file)])),
    external: /^[^./]/,
    platform: "neutral",
    plugins: [{ name: "pure", transform: { filter: { id: /\.ts$/ }, handler: (code) => ({ code: marked(code) }) } }]
  })
  await build.write({
    dir: to,
    entryFileNames: "[name].js",
    chunkFileNames: "internal/[name].js",
    comments: { jsdoc: false },
    minifyInternalExports: false,
    sourcemap: true
  })
  await build.close()
  // As it is: bundlers see through these namespaces, but not through the objects that they would become.
  const index = await readFile(join(from, "index.ts"), "utf8")
  await writeFile(join(to, "index.js"), index.replaceAll('.ts"', '.js"'))
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  for (const folder of globSync("packages/*")) await bundle(resolve(folder, "src"), resolve(folder, "dist"))
}
