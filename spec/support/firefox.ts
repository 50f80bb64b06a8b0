/** The built page in a Firefox, over its Marionette protocol: messages are their length, a colon and JSON. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { pathOf } from "./virsh.js";

const BUILT = fileURLToPath(new URL("../../page/qevm.html", import.meta.url));

/** Name of an element's reference in WebDriver's answers. */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** Milliseconds for anything on the page. */
const PATIENCE = 60_000;

/** Where a distribution puts a Firefox; undefined where there is none. */
export function findFirefox(): string | undefined {
  return pathOf("firefox-esr") ?? pathOf("firefox");
}

export class Firefox {
  private readonly answers = new Map<number, (answer: { error: unknown; value: unknown }) => void>();
  private pending = Buffer.alloc(0);
  private count = 0;

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly socket: Socket,
  ) {
    socket.on("data", (some: Buffer) => this.take(some));
    socket.on("error", () => {});
  }

  /** Starts one without a window, with a profile of its own, and opens the page. */
  static async start(program: string): Promise<Firefox> {
    const folder = mkdtempSync(join(tmpdir(), "qevm-firefox-"));
    writeFileSync(join(folder, "user.js"), 'user_pref("marionette.port", 0);\n');
    const args = ["--headless", "--marionette", "--no-remote", "--profile", folder];
    const child = spawn(program, args, { stdio: "ignore", env: { ...process.env, HOME: folder } });
    const port = join(folder, "MarionetteActivePort");
    for (const until = Date.now() + PATIENCE; !existsSync(port) || readFileSync(port).length === 0; await sleep(50)) {
      if (child.exitCode !== null || Date.now() > until) throw new Error("Firefox did not start");
    }
    const firefox = new Firefox(child, folder, connect(Number(readFileSync(port, "utf8")), "127.0.0.1"));
    await firefox.ask("WebDriver:NewSession", {});
    await firefox.ask("WebDriver:Navigate", { url: pathToFileURL(BUILT).href });
    await firefox.run(`window.wrong = [];
      addEventListener("error", (event) => wrong.push(event.message));
      addEventListener("unhandledrejection", (event) => wrong.push(String(event.reason)));
      addEventListener("securitypolicyviolation", (event) => wrong.push("policy: " + event.blockedURI));`);
    return firefox;
  }

  /** Chooses files, and waits until the first lines are there. */
  async choose(...files: string[]): Promise<void> {
    // Files are added to those that the field has.
    await this.run(`document.querySelector("input[type=file]").value = "";`);
    const found = await this.ask("WebDriver:FindElement", { using: "css selector", value: "input[type=file]" });
    const id = (found as Record<string, string>)[ELEMENT];
    await this.ask("WebDriver:ElementSendKeys", { id, text: files.join("\n") });
  }

  /** Goes to a tab by its name. */
  async tab(name: string): Promise<void> {
    await this.until(
      `const tab = [...document.querySelectorAll("[role=tab]")].find((one) => one.textContent.includes(arguments[0]));
       tab?.click(); return tab?.getAttribute("aria-selected") === "true";`,
      name,
    );
  }

  /** The text of lines as the program prints them, by the beginning of their label. */
  async lines(label: string): Promise<string> {
    const text = await this.until(
      `return document.querySelector('pre[aria-label^="' + arguments[0] + '"]')?.textContent;`,
      label,
    );
    return `${String(text)}\n`;
  }

  /** Repeats a script of the page until it returns something. */
  async until(script: string, ...args: unknown[]): Promise<unknown> {
    for (const end = Date.now() + PATIENCE; ; await sleep(50)) {
      const value = await this.run(script, ...args);
      if (value !== null && value !== undefined && value !== false) return value;
      if (Date.now() > end) throw new Error(`not in ${PATIENCE / 1000} s: ${script}`);
    }
  }

  /** The value of a script that runs in the page. */
  async run(script: string, ...args: unknown[]): Promise<unknown> {
    return await this.ask("WebDriver:ExecuteScript", { script, args, sandbox: null });
  }

  async close(): Promise<void> {
    await this.ask("Marionette:Quit", { flags: ["eForceQuit"] }).catch(() => undefined);
    this.socket.destroy();
    for (let k = 0; k < 100 && this.child.exitCode === null; k++) await sleep(50);
    this.child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }

  private async ask(name: string, parameters: object): Promise<unknown> {
    const id = ++this.count;
    const text = JSON.stringify([0, id, name, parameters]);
    const answer = await new Promise<{ error: unknown; value: unknown }>((resolve, reject) => {
      this.answers.set(id, resolve);
      this.socket.once("close", () => reject(new Error(`Firefox is gone: ${name}`)));
      this.socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
    this.socket.removeAllListeners("close");
    if (answer.error !== null) throw new Error(`${name}: ${JSON.stringify(answer.error).slice(0, 500)}`);
    const { value } = answer;
    return value !== null && typeof value === "object" && "value" in value ? value.value : value;
  }

  private take(some: Buffer): void {
    this.pending = Buffer.concat([this.pending, some]);
    for (;;) {
      const colon = this.pending.indexOf(":");
      if (colon < 0) return;
      const end = colon + 1 + Number(this.pending.toString("latin1", 0, colon));
      if (this.pending.length < end) return;
      const message = JSON.parse(this.pending.toString("utf8", colon + 1, end)) as unknown;
      this.pending = this.pending.subarray(end);
      if (!Array.isArray(message)) continue;
      const [, id, error, value] = message as [number, number, unknown, unknown];
      this.answers.get(id)?.({ error, value });
      this.answers.delete(id);
    }
  }
}
