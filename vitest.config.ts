import { defineConfig } from "vitest/config"

export default defineConfig({
  // @effect/ai-openai, of which OpenApi.test.ts takes the schemas, knows these modules by their earlier names.
  resolve: { alias: [{ find: /^effect\/unstable\//, replacement: "effect/" }] },
  test: {
    server: { deps: { inline: ["@effect/ai-openai"] } },
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    reporters: process.env.CI ? ["default", ["json", { outputFile: ".cache/vitest.json" }]] : ["default"]
  }
})
