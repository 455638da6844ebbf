import { configDefaults, defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

// What starts processes or servers, works a disk hard, plays thousands of cases, or looks at the memory of its process.
const whole = [
  "examples/07-own-store.test.ts",
  "test/browser/{Calls,Hostile,Page}.test.ts",
  "test/core/Checkpoint.test.ts",
  "test/core/Holding*.test.ts",
  "test/core/Model.test.ts",
  "test/core/Order.test.ts",
  "test/core/Outcomes*.test.ts",
  "test/core/Prefix.test.ts",
  "test/core/Schedules*.test.ts",
  "test/core/TokenStoreAlike.test.ts",
  "test/core/TokenStoreFile*.test.ts",
  "test/core/Turns.test.ts",
  "test/core/UpdateLogFile*.test.ts",
  "test/core/Views.test.ts",
  "test/crash/**/*.test.ts",
  "test/examples/**/*.test.ts",
  "test/fleet/Failover.test.ts",
  "test/fleet/Fleet.test.ts",
  "test/http/Killed.test.ts",
  "test/http/Viewers.test.ts",
  "test/logged/{Processes,Schedules}.test.ts",
  "test/openai/Flat.test.ts",
  "test/openai/SlowConsumer.test.ts",
  "test/openai/Transcripts.test.ts",
  "test/openai/Waiting.test.ts",
  "test/redis/**/*.test.ts",
  "test/sandbox/sandbox.test.ts"
]

/** Begins with what takes longest, also where no earlier run has told what that is. */
class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the method of the sequencer
    const sorted = await super.sort(files)
    return sorted.toSorted((a, b) => Number(b.project.name === "whole") - Number(a.project.name === "whole"))
  }
}

export default defineConfig({
  // @effect/ai-openai, of which OpenApi.test.ts takes the schemas, knows these modules by their earlier names.
  resolve: { alias: [{ find: /^effect\/unstable\//, replacement: "effect/" }] },
  test: {
    server: { deps: { inline: ["@effect/ai-openai"] } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          // To load the modules for each file anew takes longer than the tests.
          isolate: false,
          include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...whole]
        }
      },
      { extends: true, test: { name: "whole", include: whole } }
    ],
    sequence: { sequencer: LongestFirst },
    // Also on a machine of two cores, one of which is the default. Many tests wait, for a process or for time.
    maxWorkers: "100%",
    maxConcurrency: 8,
    // For what never ends. A busy machine takes its time, and no test is to fail for that.
    testTimeout: 300_000,
    hookTimeout: 120_000,
    reporters: process.env.CI ? ["default", ["json", { outputFile: ".cache/vitest.json" }]] : ["default"]
  }
})
