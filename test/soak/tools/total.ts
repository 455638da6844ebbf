import type { SandboxLedger } from "@effect-baton/sandbox"
import type { Left } from "../stores.ts"
import { happened, toolFindings } from "./judge.ts"
import { readLines, readRuns } from "./lines.ts"
import type { Told } from "./plan.ts"

/** What must have happened to runs with tools. */
export const toolInjections: ReadonlyArray<string> = [
  "tools: approve from outside",
  "tools: reject from outside",
  "tools: complete from outside",
  "tools: waited for approval",
  "tools: waited for deferred",
  "tools: attempt after a cut",
  "tools: answered later",
  "tools: stolen",
  "tools: already answered"
]

/** Judges the runs with tools of all workers. Their responses are taken out of `responses`. */
export const judgeTools = (options: {
  readonly seed: string
  readonly places: ReadonlyArray<string>
  readonly stored: ReadonlyMap<string, Left>
  readonly told: ReadonlyArray<Told>
  readonly responses: Map<string, Array<SandboxLedger.LedgerResponse>>
  readonly injected: (kind: string) => void
}) => {
  const { injected, places, responses, seed, stored, told } = options
  const bad: Array<string> = []
  const total = { runs: 0, calls: 0, attempts: 0, updates: 0, wrong: 0 }
  const lines = Map.groupBy(
    places.flatMap((directory) => readLines({ directory })),
    ({ runId }) => runId
  )
  const outputs = Map.groupBy(told, ({ runId }) => runId)
  for (const directory of places) {
    for (const runId of readRuns({ directory }).begun) {
      const { log, record } = stored.get(runId) ?? {}
      const own = lines.get(runId) ?? []
      const findings = toolFindings({
        seed,
        runId,
        record,
        log,
        lines: own,
        told: outputs.get(runId) ?? [],
        responses: responses.get(runId) ?? []
      })
      responses.delete(runId)
      for (const kind of record === undefined ? [] : happened(record)) injected(kind)
      total.runs++
      total.calls += record?.journal.filter(({ _tag }) => _tag === "ToolEnded" || _tag === "Rejected").length ?? 0
      total.attempts += own.filter(({ did }) => did === "starts").length
      total.updates += own.filter(({ did }) => did === "update").length
      if (findings.length === 0) continue
      total.wrong++
      bad.push(`${runId}: ${findings.slice(0, 3).join("; ")}`)
    }
  }
  return { bad, total }
}
