/** The rows of the bench, by name. */
import { bundle, first } from "./rowsOfPackages.ts"
import { checkpoint, read, writes } from "./rowsOfReading.ts"
import { relay } from "./rowsOfRelay.ts"
import { paced, paced5000, redis, resume } from "./rowsOfRuns.ts"
import { files, workers } from "./rowsOfWorkers.ts"

export const rows = { read, writes, checkpoint, redis, files, workers, paced, paced5000, resume, first, bundle, relay }
