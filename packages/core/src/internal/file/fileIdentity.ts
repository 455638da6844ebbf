import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"

// A number of a file is given to no other file while somebody holds the file open: who compares it must hold it open.

/** Whether two looks at a name found the same file; `true` if the file system does not number its files. */
export const isSame = (one: FileSystem.File.Info, other: FileSystem.File.Info): boolean =>
  one.dev === other.dev && (!isNumbered(one) || Option.getOrNull(one.ino) === Option.getOrNull(other.ino))

/** Whether this file system numbers its files. */
export const isNumbered = ({ ino }: FileSystem.File.Info): boolean => Option.isSome(ino)

/** The file that is open, as a look at its name tells it: Windows tells another `dev` by the name. */
export const identify = (
  fs: FileSystem.FileSystem,
  path: string,
  file: FileSystem.File
): Effect.Effect<FileSystem.File.Info, PlatformError.PlatformError> =>
  Effect.zipWith(file.stat, fs.stat(path), (open, named) =>
    Option.getOrNull(open.ino) === Option.getOrNull(named.ino) ? named : open
  )

/** What is absent if the name is: also if what should be a directory on the way to it is a file. */
export const absent = <A>(
  effect: Effect.Effect<A, PlatformError.PlatformError>
): Effect.Effect<Option.Option<A>, PlatformError.PlatformError> =>
  Effect.matchEffect(effect, {
    onSuccess: (value) => Effect.succeed(Option.some(value)),
    onFailure: (error) =>
      error.reason._tag === "NotFound" || error.reason._tag === "BadResource"
        ? Effect.succeed(Option.none<A>())
        : Effect.fail(error)
  })
