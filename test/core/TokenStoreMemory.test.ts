import { TokenStore } from "@effect-baton/core"
import { tokenStoreContract } from "../contract/tokenStore.ts"

tokenStoreContract("memory", TokenStore.layerMemory)
