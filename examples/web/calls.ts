// The tool calls of a run: a list of all, with their results, and those that wait for approval, with buttons.

/** Returns why an answer was not taken, if so. */
type Answer = (turn: number, callId: string, verb: "approve" | "reject") => Promise<string | undefined>

type Result = { readonly type?: string; readonly reason?: string } | null

interface Shown {
  readonly name: string
  readonly params: string
  readonly outcome: HTMLElement
  ask?: HTMLElement
}

const element = (tag: string, ...content: ReadonlyArray<string | Node>) => {
  const made = document.createElement(tag)
  made.append(...content)
  return made
}

const code = (text: string) => element("code", text)

export const makeCalls = (answer: Answer) => {
  const [list, asks, state] = ["#calls", "#asks", "#state"].map((id) => document.querySelector<HTMLElement>(id)!)
  // Ids of calls are unique only within their turn.
  const calls = new Map<string, Shown>()
  const of = (turn: number, id: string) => calls.get(`${turn} ${id}`)

  const put = ({ ask, outcome }: Shown, ...content: ReadonlyArray<string | Node>) => {
    outcome.replaceChildren(...content)
    if (ask?.contains(document.activeElement) === true) state!.focus()
    ask?.remove()
  }

  return {
    called: (turn: number, { id, name, params }: { id: string; name: string; params: unknown }) => {
      const shown = { name, params: JSON.stringify(params), outcome: element("span", "…") }
      calls.set(`${turn} ${id}`, shown)
      list!.append(element("li", code(name), " ", code(shown.params), " → ", shown.outcome))
    },
    asked: (turn: number, id: string) => {
      const call = of(turn, id)
      if (call === undefined) return
      const trouble = element("p")
      trouble.role = "alert"
      const button = (label: string, verb: "approve" | "reject") => {
        const made = document.createElement("button")
        made.textContent = label
        made.ariaLabel = `${label} ${call.name}`
        made.addEventListener("click", async () => {
          // The buttons stay where the focus is.
          if (row.ariaBusy === "true") return
          row.ariaBusy = "true"
          trouble.textContent = (await answer(turn, id, verb)) ?? ""
          row.ariaBusy = String(trouble.textContent === "")
        })
        return made
      }
      const row = element("div", button("Approve", "approve"), button("Reject", "reject"))
      row.className = "row"
      call.ask = element("li", element("p", "May it call ", code(call.name), " ", code(call.params), "?"), row, trouble)
      call.outcome.textContent = "waits for your approval"
      asks!.append(call.ask)
    },
    ended: (turn: number, { id, isFailure, result }: { id: string; isFailure: boolean; result: Result }) => {
      const call = of(turn, id)
      if (call === undefined) return
      if (result?.type === "execution-denied") put(call, `rejected: ${result.reason}`)
      else put(call, ...(isFailure ? ["failed: "] : []), code(JSON.stringify(result)))
    },
    /** The run is over: nobody answers any more. */
    end: () => {
      for (const call of calls.values()) {
        if (call.ask?.isConnected === true) put(call, "nobody answered")
      }
    },
    clear: () => {
      calls.clear()
      list!.replaceChildren()
      asks!.replaceChildren()
    }
  }
}
