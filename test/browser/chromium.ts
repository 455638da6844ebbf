import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { chromium } from "playwright-core"

/** The browser on the PATH. */
export const executablePath = (process.env["PATH"] ?? "")
  .split(delimiter)
  .flatMap((directory) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(directory, name)))
  .find(existsSync)

// It asks nobody outside of this machine.
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]

export const launch = () => chromium.launch({ args, ...(executablePath === undefined ? {} : { executablePath }) })
