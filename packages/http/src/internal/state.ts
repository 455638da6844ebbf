import * as Effect from "effect/Effect"
import { viewOf } from "./calls.ts"
import { find, type Served } from "./known.ts"

/** Reads the status of a run. */
export const state = (served: Served, runId: string) =>
  Effect.flatMap(find(served, runId, "read"), ({ agent, record }) => viewOf(served, agent, record))
