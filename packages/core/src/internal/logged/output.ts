import * as Response from "effect/ai/Response"
import type { AgentResponse } from "../../AgentResponse.ts"
import type { AgentUpdate } from "../../AgentUpdate.ts"

type Content = AgentResponse["content"][number]
type Growing = { readonly kind: "text" | "reasoning"; text: string; metadata: Content["metadata"] }

/** Collects the output of one response from its updates. */
export class Output {
  private responseId = ""
  private parts: Array<Content | Growing> = []
  private readonly growing = new Map<string, Growing>()

  add({ part, responseId }: AgentUpdate): void {
    if (responseId !== this.responseId) {
      this.responseId = responseId
      this.parts = []
      this.growing.clear()
    }
    switch (part?.type) {
      case "text-start":
      case "reasoning-start": {
        const kind = part.type === "text-start" ? "text" : "reasoning"
        const growing = { kind, text: "", metadata: part.metadata } as const
        this.growing.set(part.id, growing)
        this.parts.push(growing)
        return
      }
      case "text-delta":
      case "reasoning-delta": {
        const growing = this.growing.get(part.id)
        if (growing !== undefined) growing.text += part.delta
        return
      }
      case "text-end":
      case "reasoning-end": {
        const growing = this.growing.get(part.id)
        if (growing !== undefined) growing.metadata = { ...growing.metadata, ...part.metadata }
        return
      }
      case "tool-result":
        if (!part.preliminary) this.parts.push(part)
        return
      case "tool-call":
      case "tool-approval-request":
      case "file":
      case "source":
        this.parts.push(part)
    }
  }

  content(): ReadonlyArray<Content> {
    return this.parts.map((part) => ("kind" in part ? Response.makePart(part.kind, part) : part))
  }
}
