/** How much a program is if it is bundled with all that it uses. */
import { build as bundle } from "esbuild"
import { gzipSync } from "node:zlib"
import { type Form, programAt } from "./build.ts"

/** The size of a hello program, in KB. */
export const bundled = async (
  program: string,
  form: Form,
  { at, external = [] }: { readonly at?: string; readonly external?: ReadonlyArray<string> } = {}
): Promise<{ readonly minified: number; readonly gzip: number }> => {
  const { outputFiles } = await bundle({
    entryPoints: [programAt(`hello/${program}`, form, at)],
    bundle: true,
    external: [...external],
    format: "esm",
    platform: "node",
    target: "es2023",
    minify: true,
    write: false,
    logLevel: "silent"
  })
  const [{ contents } = { contents: new Uint8Array() }] = outputFiles
  return { minified: contents.length / 1024, gzip: gzipSync(contents, { level: 9 }).length / 1024 }
}
