// A module of its own, apart from the schemas of records, which only a store that keeps text needs.

interface OfRun {
  readonly _tag: "CancelRequested" | "Ended" | "Delivered" | "Retried"
  readonly incarnation: number
}
interface OfResponse {
  readonly _tag: "Accepted" | "ResponseEnded" | "CancelSent"
  readonly responseId: string
}
interface OfTry {
  readonly _tag: "Requested" | "Refused"
  readonly incarnation: number
  readonly turn: number
  readonly try: string
}
interface OfCall {
  readonly _tag: "ToolEnded" | "ToolDeferred" | "Allowed" | "ApprovalAsked" | "Approved" | "Rejected"
  readonly incarnation: number
  readonly turn: number
  readonly callId: string
}
interface Start {
  readonly _tag: "ToolStarted"
  readonly incarnation: number
  readonly turn: number
  readonly callId: string
  readonly n: number
}
interface Raise {
  readonly _tag: "LimitsRaised"
  readonly incarnation: number
  readonly limits: {
    readonly turns?: number
    readonly toolCalls?: number
    readonly tokens?: number
    readonly time?: number
    readonly cost?: number
  }
}

/** The fields of a fact that make its key. */
type Keyed = OfRun | OfResponse | OfTry | OfCall | Start | Raise

/** The key of a fact: see `RunRecord.keyOf`. */
export const keyOf = (fact: Keyed): string => {
  switch (fact._tag) {
    case "Accepted":
    case "ResponseEnded":
    case "CancelSent":
      return `${fact._tag} ${fact.responseId}`
    case "Requested":
    case "Refused":
      return `${fact.incarnation} ${fact._tag} ${fact.turn} ${fact.try}`
    case "ToolStarted":
      return `${fact.incarnation} ToolStarted ${fact.turn} ${fact.n} ${fact.callId}`
    case "ToolEnded":
    case "ToolDeferred":
    case "Allowed":
    case "ApprovalAsked":
      return `${fact.incarnation} ${fact._tag} ${fact.turn} ${fact.callId}`
    case "Approved":
    case "Rejected":
      return `${fact.incarnation} decision ${fact.turn} ${fact.callId}`
    case "LimitsRaised": {
      const { cost, time, toolCalls, tokens, turns } = fact.limits
      return `${fact.incarnation} LimitsRaised ${[turns, toolCalls, tokens, time, cost].map((limit) => limit ?? "").join(" ")}`
    }
    case "CancelRequested":
    case "Ended":
    case "Delivered":
    case "Retried":
      return `${fact.incarnation} ${fact._tag}`
  }
}
