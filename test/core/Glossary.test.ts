// One word has one meaning: the sources use no other word for a concept of Baton.
import { assert, describe, it } from "@effect/vitest"
import { globSync, readFileSync } from "node:fs"

interface Entry {
  readonly concept: string
  /** Words that must not be used for the concept. */
  readonly forbidden: RegExp
  /** What to write instead. */
  readonly instead: string
  /** Files, or folders, in which these words mean something else, and what they mean there. */
  readonly elsewhere?: Readonly<Record<string, string>>
}

const core = "packages/core/src"
/** The space between two words, which may lie on two lines of a comment. */
const gap = String.raw`(?:\s|\*|//)+`
const words = (...all: ReadonlyArray<string>) => new RegExp(`\\b(?:${all.join("|")})\\b`.replaceAll(" ", gap), "giu")

const glossary: ReadonlyArray<Entry> = [
  {
    concept: "response, the object of the provider",
    forbidden: words("provider's runs?", "runs? of the provider"),
    instead: "response"
  },
  {
    concept: "update, an element of a run's stream",
    forbidden: words(
      "(?:Run|Agent|Update)Events?",
      "runs?' events?",
      "run's events?",
      "events? (?:`\\w+` )?of an? run"
    ),
    instead: "update",
    elsewhere: {
      "packages/http/src/RunWire.ts": "a Server-Sent Event: an update, or what a server says about them",
      "packages/http/src/RunsApi.ts": "a Server-Sent Event: an update, or what a server says about them"
    }
  },
  {
    concept: "position, where a consumer is in a run",
    forbidden: /cursor/giu,
    instead: "position, or continuation token",
    elsewhere: {
      [`${core}/StoreOperations.ts`]: "the place of a page in a listing",
      [`${core}/RunIndex.ts`]: "the place of a page in a listing",
      [`${core}/RunViews.ts`]: "the place of a page in a listing",
      [`${core}/internal/runs/`]: "the place of a page in a listing",
      [`${core}/internal/store/fromDriver.ts`]: "the place of a page in a listing",
      "packages/redis/src/internal/listing.ts": "the place of a page in a listing",
      "packages/http/src/": "the place of a page in a listing",
      "packages/testing/src/internal/contract/": "the place of a page in a listing",
      "packages/sandbox/src/internal/server/routes.ts": "the parameter `starting_after` of the provider's API"
    }
  },
  {
    concept: "journal, the facts about a run",
    forbidden: words("event(?: |-)?logs?", "logs? of facts"),
    instead: "journal"
  },
  {
    concept: "state, the fold of a run's facts",
    forbidden: words("(?:const|let|function|readonly|get|private|local) (?:isFinished|isEnded|isOver|isOpening|stage)"),
    instead: "a view of RunState (RunState.statusOf, or a field of RunState.fold)",
    elsewhere: {
      [`${core}/Run.ts`]: "whether a status is an end",
      [`${core}/RunIndex.ts`]: "whether a run has ended and nothing of it is left to do, as Retention.rest says",
      [`${core}/Retention.ts`]: "whether a run has ended and nothing of it is left to do",
      [`${core}/internal/follow/rows.ts`]: "whether an output item is finished",
      "packages/openai/src/internal/itemEnd.ts": "whether an output item is finished",
      "packages/redis/src/internal/scripts/": "the field of a hash that holds the status of a run"
    }
  },
  {
    concept: "lease, the right of one worker to advance a run",
    forbidden: words("run(?: |-)?locks?", "locks? (?:of|on) (?:a|the) run"),
    instead: "lease"
  },
  {
    concept: "fence, the number that rises with each holder of a lease",
    forbidden: words("fencing tokens?", "lease (?:versions?|numbers?)"),
    instead: "fence"
  },
  {
    concept: "acknowledge, say that an update is finished with",
    forbidden: /\b(?:un)?settl(?:e|es|ed|ing|ement)\b|\bsettle(?=[A-Z])|\backs?\b/gu,
    instead: "acknowledge"
  },
  {
    concept: "claim, take a free run and its lease in one atomic step",
    forbidden: words("dequeue[sd]?", "check(?:s|ed)? out (?:a|the) runs?"),
    instead: "claim"
  },
  {
    concept: "parked, left alone by workers until somebody decides",
    forbidden: words("set(?:s|ting)? aside", "dead(?: |-)?letter(?:s|ed)?", "quarantined?"),
    instead: "parked"
  },
  {
    concept: "steal, take a run though another worker holds it",
    forbidden: words(
      "(?:take|takes|took|taken|taking) (?:(?:it|them|(?:a|the|its) \\w+) )?over",
      "takeovers?",
      "hijack\\w*"
    ),
    instead: "steal (of a run); adopt (of a response)"
  }
]

/** Each use of a forbidden word, with its line and what to write instead. */
const usesOf = ({ forbidden, instead }: Entry, file: string, text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(forbidden), ({ 0: word, index }) => {
    const line = text.slice(0, index).split("\n").length
    return `${file}:${line}: "${word.replaceAll(/[\s*/]+/gu, " ")}": write ${instead}`
  })

const sources = globSync("packages/*/src/**/*.ts")
  .toSorted()
  .map((file) => ({ file: file.replaceAll("\\", "/"), text: readFileSync(file, "utf8") }))

const isElsewhere = ({ elsewhere = {} }: Entry, file: string) =>
  Object.keys(elsewhere).some((path) => file === path || (path.endsWith("/") && file.startsWith(path)))

describe("the sources use one word for", () => {
  it.each(glossary.map((entry) => [entry.concept, entry] as const))("%s", (_, entry) => {
    const uses = sources.flatMap(({ file, text }) => (isElsewhere(entry, file) ? [] : usesOf(entry, file, text)))
    assert.deepStrictEqual(uses, [], `${entry.concept}\n${uses.join("\n")}\n`)
  })
})

describe("the glossary", () => {
  it("exempts only files that use the word", () => {
    const unused = glossary.flatMap((entry) =>
      Object.keys(entry.elsewhere ?? {}).filter((path) =>
        sources.every(({ file, text }) => !file.startsWith(path) || usesOf(entry, file, text).length === 0)
      )
    )
    assert.deepStrictEqual(unused, [])
  })

  it("finds a word on one line, and on two lines of a comment", () => {
    const found = glossary.flatMap((entry) =>
      usesOf(entry, "a.ts", "/**\n * Two workers take the run\n * over, and settle it.\n */\nconst cursor = 1\n")
    )
    assert.deepStrictEqual(found, [
      'a.ts:5: "cursor": write position, or continuation token',
      'a.ts:3: "settle": write acknowledge',
      'a.ts:2: "take the run over": write steal (of a run); adopt (of a response)'
    ])
  })
})
