/** House rules that oxlint has no rule of its own for. */
type Context = { readonly report: (problem: { readonly node: unknown; readonly message: string }) => void }

const message = "Errors are values: fail an Effect, or use Effect.try, Option or Result."

export default {
  meta: { name: "baton" },
  rules: {
    "no-throw": {
      create: (context: Context) => ({
        ThrowStatement: (node: unknown) => context.report({ node, message }),
        TryStatement: (node: unknown) => context.report({ node, message })
      })
    }
  }
}
