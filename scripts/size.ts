/** Checks how much a program with a hello stream weighs, bundled with all that it uses, and without the SDK. */
import { stop } from "esbuild"
import { resolve } from "node:path"
import { build } from "../bench/build.ts"
import { bundled } from "../bench/bundle.ts"

const checked = [
  { what: "a hello stream", external: [], limit: 226 },
  { what: "a hello stream without openai", external: ["openai"], limit: 141 }
]

// Not where the bench has its own, which may run.
const at = resolve(".cache/size")
await build(at)
let failed = false
for (const { external, limit, what } of checked) {
  const { gzip } = await bundled("memory", "subpath", { at, external })
  if (gzip > limit) failed = true
  console.log(`${what}: ${gzip.toFixed(1)} KB gzip, at most ${limit}${gzip > limit ? ": TOO LARGE" : ""}`)
}
await stop()
process.exit(failed ? 1 : 0)
