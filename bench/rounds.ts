/** Rounds: every subject once in each, so that what else the machine does meets all of them. */
import { Console, Effect } from "effect"
import type { BenchFailed, Figures } from "./processes.ts"

export interface Subject<R> {
  readonly name: string
  /** Its ratios are to subjects of the same variant. */
  readonly variant?: string | undefined
  readonly measure: Effect.Effect<Figures, BenchFailed, R>
  /** Why it cannot be measured here. */
  readonly absent?: string | undefined
}

export interface Measured {
  readonly name: string
  readonly variant: string | undefined
  /** By round; absent if it failed there. */
  readonly rounds: ReadonlyArray<Figures | undefined>
  readonly notes: ReadonlyArray<string>
  readonly failed: boolean
}

/** Measures all subjects, round by round. */
export const inRounds = Effect.fnUntraced(function* <R>(
  row: string,
  subjects: ReadonlyArray<Subject<R>>,
  rounds: number
): Effect.fn.Return<ReadonlyArray<Measured>, never, R> {
  const all = subjects.map(({ absent, name, variant }) => ({
    name,
    variant,
    rounds: new Array<Figures | undefined>(),
    notes: absent === undefined ? [] : [absent],
    failed: false
  }))
  for (let round = 0; round < rounds; round++) {
    yield* Console.error(`${row}: round ${round + 1} of ${rounds}`)
    for (const [index, subject] of subjects.entries()) {
      const measured = all[index]
      if (measured === undefined || subject.absent !== undefined) continue
      const result = yield* Effect.result(subject.measure)
      measured.rounds.push(result._tag === "Success" ? result.success : undefined)
      if (result._tag === "Failure") {
        measured.failed = true
        measured.notes.push(`round ${round + 1}: ${result.failure.message}`)
      }
    }
  }
  return all
})
