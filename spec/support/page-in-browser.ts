/** The built page (dist/page/qevm.html) in a Chromium, as a person uses it. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Browser, Page } from "playwright-core";

const BUILT = fileURLToPath(new URL("../../page/qevm.html", import.meta.url));
const AXE = fileURLToPath(new URL("../../../node_modules/axe-core/axe.min.js", import.meta.url));

/** Milliseconds for anything on the page. */
const PATIENCE = 30_000;

export class PageInBrowser {
  /** Errors and messages of the page. */
  readonly problems: string[] = [];
  /** Addresses that were asked for. */
  readonly requests: string[] = [];

  private constructor(readonly page: Page) {}

  static async open(
    browser: Browser,
    options: { width?: number; dark?: boolean; address?: string } = {},
  ): Promise<PageInBrowser> {
    const { width = 1100, dark = false, address = pathToFileURL(BUILT).href } = options;
    const context = await browser.newContext({
      viewport: { width, height: 900 },
      colorScheme: dark ? "dark" : "light",
      acceptDownloads: true,
    });
    const opened = new PageInBrowser(await context.newPage());
    const { page, problems, requests } = opened;
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", ({ message }) => problems.push(message));
    page.on("console", (message) => problems.push(message.text()));
    page.on("dialog", (dialog) => {
      problems.push(dialog.message());
      void dialog.dismiss();
    });
    context.on("request", (request) => requests.push(request.url()));
    await page.goto(address);
    return opened;
  }

  /** Chooses files and waits until the first lines are there. */
  async choose(...files: string[]): Promise<void> {
    await this.page.setInputFiles("input[multiple]", files);
    await this.opened(files);
  }

  /** Chooses a folder. */
  async chooseFolder(folder: string): Promise<void> {
    await this.page.setInputFiles("input[webkitdirectory]", folder);
    await this.opened([folder]);
  }

  /** Drops files and folders on the page. */
  async drop(...files: string[]): Promise<void> {
    await this.page.locator("input[webkitdirectory]").waitFor();
    const session = await this.page.context().newCDPSession(this.page);
    const data = { items: [], files, dragOperationsMask: 1 };
    for (const type of ["dragEnter", "dragOver", "drop"] as const)
      await session.send("Input.dispatchDragEvent", { type, x: 300, y: 100, data });
    await session.detach();
    await this.opened(files);
  }

  private async opened(files: readonly string[]): Promise<void> {
    const section = this.page.getByLabel(files.map((file) => basename(file)).join(" and "), { exact: true });
    await section.locator("#panel, [aria-label=Comparison], .refusal, select").first().waitFor();
  }

  /** Goes to the summary and waits until the whole stream was read. */
  async whole(): Promise<void> {
    await this.tab("Summary");
    const state = this.page.locator(".state strong").filter({ hasText: /^(?:Damaged|No damage found)$/u });
    await state.or(this.page.locator(".refusal")).first().waitFor();
  }

  async tab(name: string): Promise<void> {
    await this.page.getByRole("tab", { name }).click();
  }

  /** The text of lines as the program prints them, by the beginning of their label. */
  async lines(label: string): Promise<string> {
    const found = this.page.locator(`pre[aria-label^="${label}"]`).first();
    await found.waitFor({ state: "attached" });
    return `${(await found.textContent()) ?? ""}\n`;
  }

  /** What axe finds wrong. */
  async violations(): Promise<string[]> {
    // Not as a script of the page, which its policy would refuse.
    await this.page.evaluate(readFileSync(AXE, "utf8"));
    const found = await this.page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
      "axe.run().then((result) => result.violations)",
    );
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`);
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}
