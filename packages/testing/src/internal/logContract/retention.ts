import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { equal, refused } from "../contract/violation.ts"
import { all, type Bench, chunkOf, idOf, type Place, type PlaceLaw, row, sizeOf } from "./bench.ts"
import { using } from "./durability.ts"

/** A place whose logs are removed after this time. */
export interface Forgetting extends Place {
  readonly retention: Duration.Duration
}

type Law = (place: Forgetting) => ReturnType<PlaceLaw>

const id = idOf("r-1")

/** Lets a share of the retention pass. */
const passed = ({ advance, retention }: Forgetting, share: number) => advance(Duration.times(retention, share))

/** Checks that runs have no log any more. */
const areGone = ({ log }: Bench, ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (each) =>
    refused(log.read(idOf(each), { from: 0, limit: 1 }), "LogNotFound", `reading '${each}'`)
  )

export const retention = {
  "a log is kept for its retention after it was last opened or appended to, and then removed": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      const { fill, log, pages } = bench
      const chunks = row([2, 1])
      for (const each of ["silent", "opened", "appended"]) yield* fill(each, chunks)
      yield* log.open(idOf("empty"), 1)
      yield* passed(place, 0.6)
      for (const each of ["silent", "opened", "appended"]) {
        yield* equal(yield* pages(each), chunks, `the chunks of '${each}' during its retention`)
      }
      yield* log.open(idOf("opened"), 1)
      yield* log.append(idOf("appended"), chunkOf(3))
      yield* passed(place, 0.6)
      yield* areGone(bench, ["silent", "empty"])
      yield* equal(yield* pages("opened"), chunks, "the chunks of a log that was opened again")
      yield* equal(yield* pages("appended"), [...chunks, chunkOf(3)], "the chunks of a log that grew")
      yield* passed(place, 0.6)
      yield* areGone(bench, ["opened", "appended"])
    }),

  "reads, truncations and repeated chunks do not keep a log": (place) =>
    Effect.gen(function* () {
      const bench = yield* place.open
      const { fill, log } = bench
      const [, second] = yield* fill("r-1", row([2, 1]))
      yield* passed(place, 0.6)
      yield* log.read(id, { from: 0, limit: all })
      yield* log.truncate(id, 2)
      yield* log.append(id, second!)
      yield* passed(place, 0.6)
      yield* areGone(bench, ["r-1"])
    }),

  "after its retention a log begins again at offset 0, and any epoch can open it": (place) =>
    Effect.gen(function* () {
      const { fill, log, pages } = yield* place.open
      for (const each of ["r-1", "r-2"]) yield* fill(each, row([3, 2], { epoch: 8 }))
      yield* passed(place, 1.2)
      const { length } = yield* refused(log.append(id, chunkOf(5, { epoch: 8 })), "LogGap", "the next chunk")
      yield* equal(length, 0, "the length in the error")
      yield* equal(yield* log.open(id, 1), { length: 0, bytes: 0 }, "the result of open with a lower epoch")
      for (const each of ["r-1", "r-2"]) {
        const chunk = chunkOf(0, { count: 4, body: "new" })
        yield* equal(
          yield* log.append(idOf(each), chunk),
          sizeOf([chunk]),
          `the result of the first chunk of '${each}'`
        )
        yield* equal(yield* pages(each), [chunk], `the chunks of '${each}'`)
      }
    })
} satisfies Record<string, Law>

export const retentionOfPlaces = {
  "the retention of a log goes on while the log is closed": (place) =>
    Effect.gen(function* () {
      yield* using(place, ({ fill }) =>
        Effect.andThen(fill("silent", row([2])), Effect.andThen(fill("cut", row([2, 1])), fill("appended", row([2]))))
      )
      yield* passed(place, 0.6)
      yield* using(place, ({ log }) =>
        Effect.andThen(log.append(idOf("appended"), chunkOf(2)), log.truncate(idOf("cut"), 2))
      )
      yield* passed(place, 0.6)
      yield* using(place, (bench) =>
        Effect.gen(function* () {
          yield* areGone(bench, ["silent", "cut"])
          yield* equal(yield* bench.pages("appended"), [...row([2]), chunkOf(2)], "the chunks of a log that grew")
        })
      )
      yield* passed(place, 0.6)
      yield* using(place, (bench) => areGone(bench, ["appended"]))
    }),

  "a log that began again after its retention is the same after closing and opening again": (place) =>
    Effect.gen(function* () {
      const chunk = chunkOf(0, { epoch: 1, body: "new" })
      yield* using(place, ({ fill }) => fill("r-1", row([3, 2], { epoch: 8 })))
      yield* passed(place, 1.2)
      yield* using(place, ({ log }) => log.append(id, chunk))
      yield* using(place, ({ log }) =>
        Effect.gen(function* () {
          const page = { chunks: [chunk], first: 0, length: 1, ended: false }
          yield* equal(yield* log.read(id, { from: 0, limit: all }), page, "the page")
          yield* equal(yield* log.open(id, 1), { ...sizeOf([chunk]), last: chunk }, "the result of open")
        })
      )
    })
} satisfies Record<string, Law>
