import { Context, Effect, FileSystem, Layer, PlatformError } from "effect"

type Failure = "ENOSPC" | "EROFS" | "EACCES" | "EIO"

const failure = (code: Failure, method: string, path: string): PlatformError.PlatformError =>
  PlatformError.systemError({
    _tag: code === "EACCES" ? "PermissionDenied" : "Unknown",
    module: "FileSystem",
    method,
    pathOrDescriptor: path,
    cause: Object.assign(new Error(`${code}: ${method}`), { code })
  })

/** What is wrong with a disk: all of it can be changed while it is used. */
export class Disk extends Context.Service<
  Disk,
  {
    /** How many bytes can still be written; one write more takes what there is room for, and fails. */
    room: number
    /** How many changes can still be made before the machine is gone: then nothing works any more. */
    steps: number
    /** Which calls fail, and how. */
    refuses: (method: string, path: string) => Failure | undefined
    /** What every sync waits for. */
    waits: Effect.Effect<void>
    /** What happens right before a change. */
    before: (method: string, path: string) => Effect.Effect<void>
    /** The changes that were made. */
    readonly log: Array<string>
  }
>()("test/Disk") {}

/** A file system on a disk that has its troubles. */
export const layer: Layer.Layer<Disk | FileSystem.FileSystem, never, FileSystem.FileSystem> = Layer.effectContext(
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const disk = Disk.of({
      room: Infinity,
      steps: Infinity,
      refuses: () => undefined,
      waits: Effect.void,
      before: () => Effect.void,
      log: []
    })

    const change = <A>(
      method: string,
      path: string,
      effect: Effect.Effect<A, PlatformError.PlatformError>
    ): Effect.Effect<A, PlatformError.PlatformError> =>
      Effect.suspend(() => {
        const refused = disk.refuses(method, path)
        if (refused !== undefined) return Effect.fail(failure(refused, method, path))
        if (disk.steps <= 0) return Effect.fail(failure("EIO", method, path))
        disk.steps--
        disk.log.push(`${method} ${path.slice(path.lastIndexOf("/") + 1)}`)
        return Effect.andThen(disk.before(method, path), effect)
      })
    const writing = (
      path: string,
      bytes: Uint8Array,
      write: (bytes: Uint8Array) => Effect.Effect<void, PlatformError.PlatformError>
    ) =>
      Effect.suspend(() => {
        // The machine goes down in the middle of its last write.
        const crashes = disk.steps === 1
        const fits = Math.min(bytes.length, disk.room, crashes ? bytes.length >> 1 : Infinity)
        disk.room -= fits
        return change(
          "write",
          path,
          Effect.andThen(
            fits === 0 && bytes.length > 0 ? Effect.void : write(bytes.subarray(0, fits)),
            fits < bytes.length ? Effect.fail(failure(crashes ? "EIO" : "ENOSPC", "write", path)) : Effect.void
          )
        )
      })
    const fileOf = (path: string, file: FileSystem.File): FileSystem.File => ({
      [FileSystem.FileTypeId]: FileSystem.FileTypeId,
      stat: file.stat,
      seek: (offset, from) => file.seek(offset, from),
      read: (buffer, options) => file.read(buffer, options),
      readAlloc: (size, options) => file.readAlloc(size, options),
      write: (buffer) => file.write(buffer),
      sync: Effect.suspend(() => Effect.andThen(disk.waits, change("sync", path, file.sync))),
      truncate: (length) => change("truncate", path, file.truncate(length)),
      writeAll: (bytes) => writing(path, bytes, (some) => file.writeAll(some))
    })

    return Context.make(Disk, disk).pipe(
      Context.add(FileSystem.FileSystem, {
        ...fs,
        open: (path, options) =>
          Effect.map(
            options?.flag === undefined || options.flag === "r"
              ? fs.open(path, options)
              : Effect.andThen(change("open", path, Effect.void), fs.open(path, options)),
            (file) => fileOf(path, file)
          ),
        makeDirectory: (path, options) => change("makeDirectory", path, fs.makeDirectory(path, options)),
        rename: (from, to) => change("rename", from, fs.rename(from, to)),
        link: (from, to) => change("link", to, fs.link(from, to)),
        remove: (path, options) => change("remove", path, fs.remove(path, options)),
        utimes: (path, atime, mtime) => change("utimes", path, fs.utimes(path, atime, mtime)),
        writeFileString: (path, text, options) =>
          writing(path, new TextEncoder().encode(text), (bytes) => fs.writeFile(path, bytes, options))
      })
    )
  })
)
