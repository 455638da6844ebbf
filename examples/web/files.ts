// What the page is made of, as routes. There is no build: types are stripped as a file is served.
import { Effect, FileSystem, Layer } from "effect"
import { HttpRouter, HttpServerResponse } from "effect/http"
import { createHash } from "node:crypto"
import { stripTypeScriptTypes } from "node:module"
import { fileURLToPath } from "node:url"

const files = {
  "/": ["text/html", "./index.html"],
  "/page.css": ["text/css", "./page.css"],
  "/icon.svg": ["image/svg+xml", "./icon.svg"],
  "/page.ts": ["text/javascript", "./page.ts"],
  "/blocks.ts": ["text/javascript", "./blocks.ts"],
  "/calls.ts": ["text/javascript", "./calls.ts"],
  "/marked.js": ["text/javascript", "marked"],
  "/dompurify.js": ["text/javascript", "dompurify"],
  "/sales.csv": ["text/csv", "../sales.csv"]
} as const

/** Only these files run, and only this server is asked. What a report says can do nothing, even if the page let it in. */
const policyOf = (html: string) => {
  const [, importMap = ""] = /<script type="importmap">([^]*?)<\/script>/.exec(html) ?? []
  const hash = createHash("sha256").update(importMap).digest("base64")
  return [
    "default-src 'none'",
    `script-src 'self' 'sha256-${hash}'`,
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types dompurify"
  ].join("; ")
}

export const Page = Layer.effectDiscard(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const router = yield* HttpRouter.HttpRouter
    for (const [path, [contentType, module]] of Object.entries(files)) {
      const source = yield* fs.readFileString(fileURLToPath(import.meta.resolve(module)))
      const body = module.endsWith(".ts") ? stripTypeScriptTypes(source) : source
      const headers = {
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
        ...(contentType === "text/html" ? { "content-security-policy": policyOf(source) } : {})
      }
      const response = HttpServerResponse.text(body, { contentType: `${contentType}; charset=utf-8`, headers })
      yield* router.add("GET", path as `/${string}`, response)
    }
  })
)

/** Which process this is, and its end: it kills itself as the kernel would, without a word of goodbye. */
export const ProcessRoutes = Layer.merge(
  HttpRouter.add("GET", "/process", HttpServerResponse.jsonUnsafe({ pid: process.pid })),
  // A browser sends a request without an answer again. The next process must not take it for its own.
  HttpRouter.add("POST", "/process/:pid/kill", ({ url }) =>
    Effect.sync(() => {
      if (url === `/process/${process.pid}/kill`) process.kill(process.pid, "SIGKILL")
      return HttpServerResponse.empty({ status: 409 })
    })
  )
)
