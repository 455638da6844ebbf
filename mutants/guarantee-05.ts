import type { Mutant } from "./Mutant.ts"

export default [
  {
    id: "refused-replay-asked-again",
    guarantee: 5,
    breaks: "a run whose replay is refused is polled to its end",
    file: "packages/core/src/internal/follow/reconnect.ts",
    find: 'if (error._tag === "ReplayUnavailable") return Effect.succeed(poll)',
    replace: 'if (error._tag === "ReplayUnavailable") return this.wait(undefined)',
    test: "test/core/Attachment.test.ts",
    title: "falls back to polling where the replay is refused, and polls on the policy's schedule"
  },
  {
    id: "snapshot-delivered-whole",
    guarantee: 5,
    breaks: "of a snapshot exactly what is missing is delivered",
    file: "packages/core/src/internal/follow/reader.ts",
    find: "const telling = new Telling(delivered, turn, this.fits) const updates: Array<AgentUpdate> = []",
    replace:
      "const telling = new Telling({ ...delivered, items: [], lanes: [], open: [] }, turn, this.fits); const updates: Array<AgentUpdate> = []",
    test: "test/core/Attachment.test.ts",
    title: "falls back to polling where the replay is refused, and polls on the policy's schedule"
  },
  {
    id: "hash-not-compared",
    guarantee: 5,
    breaks: "a snapshot that does not begin with what was delivered is RunDiverged",
    edits: [
      {
        file: "packages/core/src/internal/follow/whole.ts",
        find: "return text.length >= count && Rows.fold(Rows.emptyHash, text.slice(0, count)) === hash",
        replace: "return text.length >= count"
      },
      {
        file: "packages/core/src/internal/follow/telling.ts",
        find: "|| Rows.fold(Rows.emptyHash, text.slice(0, count)) !== hash",
        replace: ""
      }
    ],
    test: "test/core/Prefix.test.ts",
    title: "a snapshot that contradicts what was delivered is RunDiverged"
  },
  {
    id: "sandbox-off-schema",
    guarantee: 5,
    breaks: "the sandbox answers as the published schema says",
    file: "packages/sandbox/src/internal/server/responseObject.ts",
    find: 'parallel_tool_calls: body["parallel_tool_calls"] ?? true,',
    replace: "",
    test: "test/sandbox/OpenApi.test.ts",
    title: "answers as the schemas generated from it say but for what is named here"
  },
  {
    id: "end-of-text-not-compared",
    guarantee: 5,
    breaks: "a text whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "this.divergence ??= otherwise(place, lane.lane)",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "a text's end that is another text is RunDiverged"
  },
  {
    id: "end-of-item-not-compared",
    guarantee: 5,
    breaks: "an item whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "this.divergence ??= contradicted(this.delivered, place, lanes)",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "an item's end that shows a finished text otherwise is RunDiverged"
  },
  {
    id: "end-of-response-not-compared",
    guarantee: 5,
    breaks: "a response whose end differs from what was delivered is RunDiverged",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "if (isWhole && isMissing && !isTold) {",
    replace: "if (isWhole && isMissing && isUnknown) {",
    test: "test/openai/Fallback.test.ts",
    title: "cut in its middle"
  },
  {
    id: "N1",
    guarantee: 5,
    breaks: "what is written is delivered in its pieces: Agent.start opens a stream that can be watched live",
    file: "packages/core/src/internal/verbs/start.ts",
    find: "streamed: model.capabilities.resume && model.demands(request.options).streamed",
    replace: "streamed: false",
    test: "test/core/StartedAndLeft.test.ts",
    title: "N1: is watched live"
  },
  {
    id: "scripted-places",
    guarantee: 5,
    breaks: "a scripted call has a place of its own",
    file: "packages/testing/src/internal/playback.ts",
    find: "Math.max(behind, output.next)",
    replace: "output.next",
    test: "test/testing/ScriptedModel.test.ts"
  },
  {
    id: "scripted-takeover",
    guarantee: 5,
    breaks: "a late end of a finished item does not begin another one in a script",
    file: "packages/testing/src/internal/output.ts",
    find: "if (done) return !isEnd(statement)",
    replace: "if (done) return false",
    test: "test/testing/ScriptedModel.test.ts"
  },
  {
    id: "contract-deltas",
    guarantee: 5,
    breaks: "the model contract compares the end of a text with its deltas",
    file: "packages/testing/src/internal/output.ts",
    find: "before !== undefined && before !== whole",
    replace: "false",
    test: "test/contract/BackgroundModelContract.test.ts"
  },
  {
    id: "contract-places",
    guarantee: 5,
    breaks: "the model contract compares the places of items",
    file: "packages/testing/src/internal/modelContract/story.ts",
    find: "return `${item}:${lane.lane} ${lane.kind}${begins}`",
    replace: "return `${lane.kind}${begins}`",
    test: "test/contract/BackgroundModelContract.test.ts"
  },
  {
    id: "contract-look",
    guarantee: 5,
    breaks: "the model contract lets no response finish that is not over",
    file: "packages/testing/src/internal/modelContract/looking.ts",
    find: 'yield* holds(looked.finish === undefined, "it has a finish and is not over")',
    replace: "",
    test: "test/contract/BackgroundModelContract.test.ts"
  },
  {
    id: "goes-on-after-end",
    guarantee: 5,
    breaks: "a text that goes on after its end is RunDiverged",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "this.divergence ??= `part ${lane} of output item ${place} goes on after its end`",
    replace: "",
    test: "test/openai/Wholes.test.ts",
    title: "a text that goes on after its end is RunDiverged"
  },
  {
    id: "witness-lost",
    guarantee: 5,
    breaks: "what is known of finished items that become one row is known of all of them",
    file: "packages/core/src/internal/follow/rows.ts",
    find: "all[all.length - 1] = [last[0], range[1], plus(last[2], range[2])]",
    replace: "all[all.length - 1] = [last[0], range[1], last[2]]",
    test: "test/openai/PositionRules.test.ts",
    title: "is one row for neighbours"
  },
  {
    id: "witness-of-order",
    guarantee: 5,
    breaks: "what is known of finished items does not depend on the order in which they finished",
    edits: [
      {
        file: "packages/core/src/internal/follow/rows.ts",
        find: "(a[0] + b[0]) >>> 0,",
        replace: "(a[0] * 31 + b[0]) >>> 0,"
      },
      {
        file: "packages/core/src/internal/follow/rows.ts",
        find: "(a[2] + b[2]) >>> 0,",
        replace: "(a[2] * 31 + b[2]) >>> 0,"
      }
    ],
    test: "test/openai/PositionRules.test.ts",
    title: "is one row for neighbours"
  },
  {
    id: "look-ends-all",
    guarantee: 5,
    breaks: "a look ends nothing that goes on",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "for (const lane of item.lanes) telling.rest(place, lane, item.done)",
    replace: "for (const lane of item.lanes) telling.rest(place, lane, true)",
    test: "test/openai/Wholes.test.ts",
    title: "ends nothing that goes on"
  },
  {
    id: "look-disagrees",
    guarantee: 5,
    breaks: "a look at a run under way tells nothing of what does not agree",
    file: "packages/core/src/internal/follow/whole.ts",
    find: 'if (own === undefined) return count === 0 return own.kind === "unread" || beginsWith(own, row)',
    replace: "return true",
    test: "test/openai/Wholes.test.ts",
    title: "an open text begins otherwise"
  },
  {
    id: "overflow-filled",
    guarantee: 5,
    breaks: "nothing is filled in once the rows of a position were dropped",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "isUnknown || hides ? undefined",
    replace: "hides ? undefined",
    test: "test/openai/PositionRules.test.ts",
    title: "is dropped if a token has no room for it"
  },
  {
    id: "overflow-silent",
    guarantee: 5,
    breaks: "what cannot be filled in is not left out in silence",
    file: "packages/core/src/internal/follow/whole.ts",
    find: "const isMissing = isUnknown ? !seen : shows || !seen",
    replace: "const isMissing = isUnknown ? false : shows || !seen",
    test: "test/openai/PositionRules.test.ts",
    title: "is dropped if a token has no room for it"
  },
  {
    id: "overflow-mute",
    guarantee: 5,
    breaks: "once the rows of a position were dropped, texts come as their events tell them",
    file: "packages/core/src/internal/follow/telling.ts",
    find: "if (this.delivered.overflow) return this.sayUnheld(statement) if (this.isUnannounced(statement)) return",
    replace: "if (this.delivered.overflow || this.isUnannounced(statement)) return",
    test: "test/openai/PositionRules.test.ts",
    title: "is dropped if a token has no room for it"
  },
  {
    id: "given-up-pull-loses",
    guarantee: 5,
    breaks: "what comes after a pull was given up is there for the next one",
    file: "packages/core/src/internal/follow/attachment.ts",
    find: "this.batch = events",
    replace: "if (this.wake !== undefined) this.batch = events",
    test: "test/core/Pulls.test.ts"
  },
  {
    id: "swapped-neighbours-parted",
    guarantee: 5,
    breaks: "neighbours that a replay swapped come together, so that they can be put in order",
    file: "packages/openai/src/internal/body.ts",
    find: "last === numberOf(events.at(-2)) + 1 &&",
    replace: "",
    test: "test/openai/Framing.test.ts"
  },
  {
    id: "growing-text-forgotten",
    guarantee: 5,
    breaks: "the token of a position says how much of the text that grows was delivered",
    file: "packages/core/src/internal/follow/position.ts",
    find: "return Rows.grow(rows, growing, [place, lane, kind, count, hash >>> 0, 0])",
    replace: "return rows",
    test: "test/openai/Positions.test.ts"
  }
] satisfies ReadonlyArray<Mutant>
