import { Failpoint } from "@effect-baton/testing"

const sidesOf = (steps: ReadonlyArray<string>) => steps.flatMap((step) => [`${step}:before`, `${step}:after`])

/** The places around each operation of a store that writes. */
export const placesOfTokenStore = sidesOf(Failpoint.stepsOfTokenStore.map((step) => `store.${step}`))

/** The places around all that the file store does to a disk. */
export const placesOfFiles = sidesOf(
  [
    "makeDirectory directory",
    "write lock.new",
    "link lock",
    "remove lock.new",
    "open runs.log",
    "truncate runs.log",
    "write runs.log",
    "sync runs.log",
    "remove runs.log.new",
    "open runs.log.new",
    "write runs.log.new",
    "sync runs.log.new",
    "rename runs.log.new",
    "sync directory",
    "rename lock"
  ].map((step) => `file.${step}`)
)

/** What a file is there for: owners and processes put numbers and nonces into its name. */
const kindOf = (path: string): string => {
  const name = path.slice(path.lastIndexOf("/") + 1)
  return /^(lock|runs)\./.test(name) ? name.replace(/\.[0-9a-f-]{8,}/, "").replace(/\.\d+/, "") : "directory"
}

/** A place of a store, as it is called in this suite. */
export const ofTokenStore = ({ side, step }: Failpoint.Place): string => `store.${step}:${side}`

/** A place of a disk, as it is called in this suite. */
export const ofFiles = ({ of, side, step }: Failpoint.Place): string => `file.${step} ${kindOf(of)}:${side}`
