import * as Effect from "effect/Effect"
import { find, infoOf, type Served } from "./known.ts"

/** Reads the status of a run. */
export const state = (served: Served, runId: string) =>
  Effect.map(find(served, runId, "read"), ({ record }) => infoOf(served, record))
