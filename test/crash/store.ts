import { NodeServices } from "@effect/platform-node"
import { TokenStore } from "@effect-baton/core"
import { Config, Effect, Layer } from "effect"

/** The store that children use. */
export const Store = Layer.unwrap(
  Effect.map(Config.String("STORE_DIRECTORY"), (directory) => TokenStore.layerFile({ directory }))
).pipe(Layer.provide(NodeServices.layer))
