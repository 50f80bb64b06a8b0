// Searches for unexpected exceptions: main.js SECONDS [FOLDER] [SEED]. Damaged inputs of every kind go to every command
// in process. Exceptions other than QevmError, hangs, and process exits are written to FOLDER/finds.jsonl.
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeBases } from "./bases.js";

const [seconds = "60", given, seed = "1"] = process.argv.slice(2);
const folder = given ?? mkdtempSync(join(tmpdir(), "qevm-hunt-"));
mkdirSync(folder, { recursive: true });
if (!existsSync(join(folder, "bases.json"))) {
  mkdirSync(join(folder, "bases"));
  writeFileSync(join(folder, "bases.json"), JSON.stringify(makeBases(join(folder, "bases"))));
}
const worker = fileURLToPath(new URL("worker.js", import.meta.url));
const now = join(folder, "now.json");
const until = Date.now() + Number(seconds) * 1000;
/** Milliseconds without a new command after which a case counts as hung. */
const HANGS = 40_000;
let next = Number(seed);
while (Date.now() < until) {
  writeFileSync(now, JSON.stringify({ seed: next }));
  const child = spawn(process.execPath, ["--max-old-space-size=700", worker, folder, String(next)], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, TMPDIR: folder },
  });
  let text = "";
  child.stderr.on("data", (bytes: Buffer) => (text = `${text}${bytes.toString()}`.slice(-3000)));
  const ended = new Promise<string>((resolve) => child.once("exit", (code, signal) => resolve(String(code ?? signal))));
  let how: string | undefined;
  while (how === undefined && Date.now() < until) {
    how = await Promise.race([ended, sleep(1000).then(() => undefined)]);
    if (how === undefined && Date.now() - statSync(now).mtimeMs > HANGS) {
      child.kill("SIGKILL");
      await ended;
      how = "hung";
    }
  }
  if (how === undefined) {
    child.kill("SIGKILL");
    await ended;
  }
  const last = JSON.parse(readFileSync(now, "utf8")) as { seed: number };
  if (how !== undefined) appendFileSync(join(folder, "finds.jsonl"), `${JSON.stringify({ ...last, how, text })}\n`);
  next = last.seed + 1;
}
const finds = existsSync(join(folder, "finds.jsonl")) ? readFileSync(join(folder, "finds.jsonl"), "utf8").trim() : "";
console.log(`${folder}: up to seed ${next - 1}, ${finds === "" ? 0 : finds.split("\n").length} finds in finds.jsonl`);
