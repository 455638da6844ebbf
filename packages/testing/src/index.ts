/**
 * Test doubles for Baton: a scripted model and a sandbox Responses server.
 *
 * @since 0.1.0
 */
export * as ScriptedModel from "./ScriptedModel.ts"
