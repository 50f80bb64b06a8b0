import { existsSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser } from "playwright-core";

/** Why a browser is not asked. */
export const NO_CHROMIUM = "no Chromium in /usr/bin: the browser is not asked";

/** Where a distribution puts a Chromium; undefined where there is none. */
export function findChromium(): string | undefined {
  return ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"]
    .map((name) => join("/usr/bin", name))
    .find((path) => existsSync(path));
}

/** Starts it without a window. */
export async function launchChromium(executablePath: string, args: readonly string[] = []): Promise<Browser> {
  return await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", ...args] });
}
