// The page. Without a run in its address it takes an order; with one it shows that run. All that it knows of a run stands
// in its address, so it can be loaded again, and as often as you like.
import DOMPurify from "dompurify"
import { type Change, makeBlocks } from "./blocks.ts"
import { makeCalls } from "./calls.ts"

const the = <E extends HTMLElement>(id: string) => document.querySelector<E>(`#${id}`)!

/** Nothing if there is no answer. */
const ask = (path: string, init?: RequestInit) => fetch(path, init).catch(() => undefined)

const newId = () =>
  `report-${Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`

const takeOrder = async () => {
  const figures = the<HTMLTextAreaElement>("figures")
  const file = the<HTMLInputElement>("file")
  const refusal = the("refusal")
  the("order").hidden = false
  // The same order, sent again after a lost answer, is the same run.
  let id = newId()
  the("order").addEventListener("input", () => (id = newId()))
  file.addEventListener("change", async () => (figures.value = (await file.files?.[0]?.text()) ?? figures.value))
  the("order").addEventListener("submit", async (event) => {
    event.preventDefault()
    refusal.textContent = ""
    const input = `${the<HTMLInputElement>("question").value}\n\n${figures.value}`
    const answer = await ask("/runs", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": id },
      body: JSON.stringify({ agent: "sales-analyst", input, mode: "enqueue" })
    })
    if (answer?.ok) location.assign(`/?run=${id}`)
    else refusal.textContent = answer ? `Refused: ${await answer.text()}` : "There was no answer. Please send it again."
  })
  figures.value ||= (await (await ask("/sales.csv"))?.text()) ?? ""
}

const words: Readonly<Record<string, string>> = {
  queued: "Queued",
  in_progress: "Writing",
  approval: "Waits for your approval",
  waiting: "Waits",
  lost: "Connection lost, trying again",
  missing: "There is no such run",
  completed: "Complete",
  cancelled: "Stopped",
  failed: "Failed"
}

const showRun = (run: string) => {
  const report = the("report")
  let blocks = makeBlocks()
  let updates = 0
  let pid = 0
  let state = "queued"
  let turn = 0
  // Responses of later turns begin with a paragraph of their own.
  let gap = ""

  const say = (now: string) => {
    if (the("state").dataset["state"] === now) return
    the("state").dataset["state"] = now
    the("state").textContent = words[now] ?? now
  }
  const tell = (what: string) => {
    const time = document.createElement("time")
    time.textContent = new Date().toLocaleTimeString()
    const item = document.createElement("li")
    item.append(time, what)
    the("events").append(item)
  }
  const show = (change: Change) => {
    const { scrollHeight } = document.documentElement
    const atEnd = scrollY > 0 && scrollY + innerHeight > scrollHeight - 40
    while (report.children.length > change.from) report.lastChild!.remove()
    for (const html of change.blocks) {
      const block = document.createElement("div")
      block.append(DOMPurify.sanitize(html, { RETURN_DOM_FRAGMENT: true, USE_PROFILES: { html: true } }))
      report.append(block)
    }
    if (atEnd) scrollTo(0, document.documentElement.scrollHeight)
  }
  const finish = (end: string) => {
    source.close()
    show(blocks.end())
    calls.end()
    say(end)
    report.ariaBusy = "false"
    for (const id of ["stop", "kill"]) the<HTMLButtonElement>(id).disabled = true
  }

  const path = `/runs/${encodeURIComponent(run)}`
  const calls = makeCalls(async (of, callId, verb) => {
    const answer = await ask(`${path}/turns/${of}/calls/${encodeURIComponent(callId)}/${verb}`, {
      method: "POST",
      ...(verb === "reject"
        ? { headers: { "content-type": "application/json" }, body: JSON.stringify({ reason: "The reader said no." }) }
        : {})
    })
    if (answer?.ok) return tell(`You ${verb === "approve" ? "approved" : "rejected"} the call ${callId}.`)
    return answer ? (await answer.json()).title : "There was no answer. Please try again."
  })
  /** After an answer that is not a stream the browser does not try again by itself. */
  const again = async () => {
    const answer = await ask(path)
    if (answer?.status === 404) finish("missing")
    else if (answer?.ok) location.reload()
    else setTimeout(again, 3000)
  }
  const source = new EventSource(`${path}/updates`)
  const on = (name: string, act: (event: MessageEvent<string>) => void) => source.addEventListener(name, act)
  source.addEventListener("open", async () => {
    const next = updates + 1
    say(state)
    const found = await (await ask("/process"))?.json()
    if (!found || found.pid === pid) return
    tell(`Process ${(pid = found.pid)} sends the report, from update ${next} on.`)
    the<HTMLButtonElement>("kill").disabled = source.readyState === EventSource.CLOSED
  })
  source.addEventListener("error", () => {
    say("lost")
    if (source.readyState === EventSource.CLOSED) void again()
  })
  // A connection may be silent for long before the browser sees that it is lost.
  addEventListener("offline", () => {
    if (source.readyState !== EventSource.CLOSED) say("lost")
  })
  on("update", ({ data, lastEventId }) => {
    const { part, status, text, turn: of = turn, waitingFor } = JSON.parse(data)
    const offset = Number(lastEventId.split(".")[0])
    if (offset !== updates + 1) tell(`Update ${offset} came after ${updates}.`)
    updates = offset
    if (text) {
      show(blocks.push(gap + text))
      gap = ""
    }
    if (part?.type === "tool-call") calls.called(of, part)
    if (part?.type === "tool-approval-request") calls.asked(of, part.toolCallId)
    if (part?.type === "tool-result") calls.ended(of, part)
    if (part?.type === "finish") {
      turn = of + 1
      if (report.hasChildNodes()) gap = "\n\n"
    }
    say((state = waitingFor === "approval" ? waitingFor : status))
  })
  on("reset", () => {
    blocks = makeBlocks()
    updates = turn = 0
    gap = ""
    report.replaceChildren()
    calls.clear()
    tell("The log was lost and is written again: the report begins again.")
  })
  on("end", ({ data }) => {
    const { problem, status } = JSON.parse(data)
    finish(status)
    tell(`The end, after ${updates} updates. ${problem?.title ?? ""}`)
  })

  the("run").hidden = false
  the("stop").addEventListener("click", async () => {
    const answer = await ask(`${path}/cancel`, { method: "POST" })
    tell(answer?.ok ? "You asked to stop the run." : "Nobody took the stop. Please try again.")
  })
  the("kill").addEventListener("click", async () => {
    tell(`You killed process ${pid} with SIGKILL, after update ${updates}.`)
    await ask(`/process/${pid}/kill`, { method: "POST" })
  })
}

const run = new URLSearchParams(location.search).get("run")
if (run === null) await takeOrder()
else showRun(run)
