import { it } from "@effect/vitest"

/** What a law that fell has printed. */
const replay = process.env["REPLAY"]

/** A property test; where the law falls, it prints how to play the same case again. */
export const law: typeof it.effect.prop = (name, arbitraries, property, options) => {
  let told = false
  const { arbitrary, ...others } = typeof options === "number" ? { timeout: options, arbitrary: {} } : (options ?? {})
  it.effect.prop(
    name,
    arbitraries,
    (values, context) => {
      if (!told) {
        told = true
        context.onTestFailed(({ task }) => {
          const token = /^Replay: (.+)$/m.exec(task.result?.errors?.[0]?.message ?? "")?.[1]
          const title = name.replaceAll(/[.*+?^${}()|[\]\\]/g, ".")
          const command = `npx -y pnpm@10 vitest run ${task.file.name} -t '${title}'`
          if (token !== undefined) console.error(`the same case again: REPLAY='${token}' ${command}`)
        })
      }
      return property(values, context)
    },
    { timeout: 600_000, ...others, arbitrary: { ...arbitrary, ...(replay === undefined ? {} : { replay }) } }
  )
}
