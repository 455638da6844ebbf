import { Effect } from "effect"
import { message, type SandboxModel } from "./ResponseScript.ts"
export const model: SandboxModel = () => Effect.succeed(message("# Hello"))
