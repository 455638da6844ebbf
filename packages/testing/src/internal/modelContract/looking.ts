import { Run } from "@effect-baton/core"
import * as Effect from "effect/Effect"
import * as AiError from "effect/ai/AiError"
import { equal, refused } from "../contract/violation.ts"
import { holds, type Law, type LawOf, says, type Snapshot, violation } from "./bench.ts"
import * as Story from "./story.ts"

export const submission = {
  "a response that was submitted is found, and ends as one that was streamed": ({
    answers,
    model,
    requestOf,
    untilOver
  }) =>
    Effect.gen(function* () {
      const submitted = yield* model.submit(requestOf(answers[0]))
      yield* holds(submitted.responseId !== "", "submit did not name the response")
      const looked = yield* untilOver(submitted.responseId)
      yield* equal(looked.responseId, submitted.responseId, "the response that a look finds")
      yield* equal(looked.status, "completed", "its status")
      yield* holds(looked.finish !== undefined, "it has no finish")
      yield* holds(Story.lanesOf(looked.items).length > 0, "it has no output")
    })
} satisfies Record<string, Law>

/** Checks that every text of `shown` is the beginning of the same text in `whole`. Returns the first fault. */
const beginsAs = (shown: Snapshot, whole: Snapshot): string | undefined => {
  for (const { item, lane } of Story.lanesOf(shown.items)) {
    const final = whole.items[item]?.lanes.find((other) => other.lane === lane.lane)
    if (final === undefined) return `lane ${lane.lane} of item ${item} is not there at the end`
    if ("text" in lane && !("text" in final && final.text.startsWith(lane.text))) {
      return `lane ${lane.lane} of item ${item} begins otherwise at the end`
    }
  }
  return undefined
}

export const underWay = {
  "a look while the response runs shows that it runs, and not more than it will have said":
    (runs) =>
    ({ leaveAt, look, readOn, untilOver }) =>
      Effect.gen(function* () {
        const left = yield* leaveAt(runs, says)
        const looked = yield* look(left.responseId)
        yield* holds(
          !Run.isOver(looked.status),
          `the response was ${looked.status} at once: give a request for \`runs\` that takes longer`
        )
        yield* holds(looked.status !== "waiting", "the response has the status `waiting`, which only a run can have")
        yield* equal(looked.responseId, left.responseId, "the response that a look names")
        yield* holds(looked.finish === undefined, "it has a finish and is not over")
        const { terminal } = yield* readOn(left)
        const fault = beginsAs(looked, terminal ?? (yield* untilOver(left.responseId)))
        if (fault !== undefined) yield* violation(fault)
      })
} satisfies Record<string, LawOf>

export const cancelling = {
  "a response that runs is ended by a cancel":
    (runs) =>
    ({ leaveAt, model, untilOver }) =>
      Effect.gen(function* () {
        const { responseId } = yield* leaveAt(runs, says)
        if (!model.capabilities.cancel) {
          const answer = yield* Effect.result(model.cancel(responseId))
          return yield* holds(answer._tag === "Failure", "cancel of a model that cannot cancel must fail", answer)
        }
        yield* equal(yield* model.cancel(responseId), "requested", "the answer")
        const { finish, status } = yield* untilOver(responseId)
        yield* holds(status === "cancelled" || status === "completed", `it ended as ${status}`)
        yield* holds(finish !== undefined, "it is over and has no finish")
      })
} satisfies Record<string, LawOf>

export const cancellingWhatIsOver = {
  "a cancel of what is over changes nothing": ({ answers, model, tell, untilOver }) =>
    Effect.gen(function* () {
      const { responseId } = yield* tell(answers[0])
      const before = yield* untilOver(responseId)
      const answer = yield* Effect.result(model.cancel(responseId))
      yield* answer._tag === "Success"
        ? equal(answer.success, "already over", "the answer")
        : holds(
            AiError.isAiError(answer.failure),
            "cancel must not fail with anything but an `AiError`",
            answer.failure
          )
      const after = yield* untilOver(responseId)
      yield* equal(after.status, before.status, "the status")
      yield* equal(Story.placesOf(after.items), Story.placesOf(before.items), "the output")
    })
} satisfies Record<string, Law>

export const unknown = {
  "a look at an unknown response says that it is gone": ({ model, unknownId }) =>
    Effect.gen(function* () {
      const { responseId } = yield* refused(
        model.retrieve(unknownId),
        "ResponseGone",
        "retrieve of an unknown response"
      )
      yield* equal(responseId, unknownId, "the response that is gone")
    }),

  "an unknown response is not resumed": ({ hear, model, unknownId }) =>
    Effect.gen(function* () {
      const { error, events } = yield* hear(model.resume(unknownId, {}))
      yield* equal(events.length, 0, "the events of an unknown response")
      yield* holds(
        error?._tag === "ResponseGone" || (!model.capabilities.resume && error?._tag === "ReplayUnavailable"),
        "resume of an unknown response must fail with `ResponseGone`",
        error?._tag ?? "no error"
      )
    }),

  "an unknown response is not cancelled": ({ model, unknownId }) =>
    Effect.gen(function* () {
      const answer = yield* Effect.result(model.cancel(unknownId))
      yield* holds(answer._tag === "Failure", "cancel of an unknown response must fail", answer)
    })
} satisfies Record<string, Law>

export const removal = {
  "a response that was removed is gone": ({ answers, hear, model, tell }) =>
    Effect.gen(function* () {
      const { responseId } = yield* tell(answers[0])
      yield* model.remove(responseId)
      yield* refused(model.retrieve(responseId), "ResponseGone", "retrieve after remove")
      const { error, events } = yield* hear(model.resume(responseId, {}))
      yield* equal(events.length, 0, "the events after remove")
      yield* holds(
        error?._tag === "ResponseGone" || error?._tag === "ReplayUnavailable",
        "resume after remove must fail with `ResponseGone`",
        error?._tag ?? "no error"
      )
    }),

  "a response is removed once more without an error": ({ answers, model, tell, unknownId }) =>
    Effect.gen(function* () {
      const { responseId } = yield* tell(answers[0])
      yield* model.remove(responseId)
      yield* model.remove(responseId)
      yield* model.remove(unknownId)
    }),

  "a response stays if another one is removed": ({ answers, look, model, tell }) =>
    Effect.gen(function* () {
      const one = yield* tell(answers[0])
      const other = yield* tell(answers[0])
      yield* model.remove(one.responseId)
      yield* equal((yield* look(other.responseId)).responseId, other.responseId, "the other response")
    })
} satisfies Record<string, Law>

export const refusal = {
  "a refused request is an error, and no response":
    (asked) =>
    ({ hear, model, requestOf }) =>
      Effect.gen(function* () {
        const { error, events } = yield* hear(model.create(requestOf(asked)))
        yield* holds(
          AiError.isAiError(error),
          "create of a refused request must fail with an `AiError`",
          error?._tag ?? "no error"
        )
        const named = events.find((event) => event.responseId !== undefined)
        yield* holds(named === undefined, "a refused request must not name a response", named?.responseId)
        const submitted = yield* Effect.result(model.submit(requestOf(asked)))
        yield* holds(
          submitted._tag === "Failure" && AiError.isAiError(submitted.failure),
          "submit of a refused request must fail with an `AiError`",
          submitted
        )
      })
} satisfies Record<string, LawOf>

export const failing = {
  "a response that failed says why":
    (asked) =>
    ({ tell, untilOver }) =>
      Effect.gen(function* () {
        const { responseId, terminal } = yield* tell(asked)
        const looked = yield* untilOver(responseId)
        for (const [name, snapshot] of Object.entries({ "a look": looked, "the terminal event": terminal ?? looked })) {
          yield* equal(snapshot.status, "failed", `the status that ${name} shows`)
          yield* holds(snapshot.error !== undefined, `${name} shows no error`)
          yield* equal(snapshot.finish?.reason, "error", `the finish reason that ${name} shows`)
        }
      })
} satisfies Record<string, LawOf>
