import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"

// No other file gets the number of a file that is open: a process that compares numbers must hold its file open.

/** Whether two `stat`s found the same file; `true` if the file system does not number its files. */
export const isSame = (one: FileSystem.File.Info, other: FileSystem.File.Info): boolean =>
  one.dev === other.dev && (!isNumbered(one) || Option.getOrNull(one.ino) === Option.getOrNull(other.ino))

/** Whether this file system numbers its files. */
export const isNumbered = ({ ino }: FileSystem.File.Info): boolean => Option.isSome(ino)

/** The `stat` of an open file by its name: Windows gives another `dev` by the name than by the handle. */
export const identify = (
  fs: FileSystem.FileSystem,
  path: string,
  file: FileSystem.File
): Effect.Effect<FileSystem.File.Info, PlatformError.PlatformError> =>
  Effect.zipWith(file.stat, fs.stat(path), (open, named) =>
    Option.getOrNull(open.ino) === Option.getOrNull(named.ino) ? named : open
  )

/** None if the name does not exist, also if a part of its path is a file instead of a directory. */
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
