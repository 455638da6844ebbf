import type { ModelRequest } from "@effect-baton/core/BackgroundModel"
import type { OpenAiBackgroundModel } from "@effect-baton/openai"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { chunks, create, created, heard, type Json, over, sse } from "./support.ts"

/** The body of the create request, or the error because of which nothing was sent. */
export const asked = (request: Partial<ModelRequest>, options?: Partial<OpenAiBackgroundModel.Options>) =>
  Effect.gen(function* () {
    const bodies: Array<Json> = []
    const fetch: Parameters<typeof over>[0] = (input, init) => {
      bodies.push(JSON.parse(String(init?.body)) as Json)
      return chunks(sse(created()))(input, init)
    }
    const { error } = yield* heard(create(request)).pipe(Effect.provide(over(fetch, options)))
    assert.strictEqual(bodies.length, error === undefined ? 1 : 0)
    return { body: bodies[0] ?? {}, error }
  })
