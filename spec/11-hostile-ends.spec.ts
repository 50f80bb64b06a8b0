/** Ends that nobody planned: an error of the program while a pipe is silent, and SIGKILL. */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { leftovers } from "../src/io/transport/leftovers.js";
import { corpusEntry } from "../tools/corpus.js";
import { PLAIN_PROGRAM, plainEnvironment, qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-ends-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const stream = corpusEntry("pc-firmware").open();
const whole = join(work, "whole.mig");
writeFileSync(whole, stream);

function start(args: readonly string[], node: readonly string[] = [], stdin: number | "pipe" = "pipe"): ChildProcess {
  const words = [...node, PLAIN_PROGRAM, ...args];
  return spawn(process.execPath, words, { stdio: [stdin, "ignore", "pipe"], env: plainEnvironment() });
}

/** Waits until a name that fits is in the folder. */
async function appears(name: RegExp): Promise<string | undefined> {
  for (let tries = 0; tries < 600; tries++) {
    const found = readdirSync(work).find((one) => name.test(one));
    if (found !== undefined) return join(work, found);
    await sleep(50);
  }
  return undefined;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

test("an error of the program ends it although its input is a pipe that says nothing", async (t) => {
  const thrower = "data:text/javascript,setTimeout(() => { throw new TypeError('not ours') }, 1500)";
  const fifo = join(work, "fifo");
  execFileSync("mkfifo", [fifo]);
  const pipe = openSync(fifo, "r+");
  writeSync(pipe, stream.subarray(0, 1000));
  for (const [what, stdin] of [
    ["pipe", pipe],
    ["socket", "pipe"],
  ] as const) {
    const args = ["convert", "-", "--out", join(work, "piped")];
    const child = start(args, ["--import", thrower], stdin);
    let said = "";
    child.stderr?.on("data", (bytes: Buffer) => (said += bytes.toString()));
    child.stdin?.write(stream.subarray(0, 1000));
    const ended = once(child, "exit").then(([code, signal]) => (code ?? signal) as unknown);
    const soon = await Promise.race([ended, sleep(20_000).then(() => "hangs")]);
    t.equal(soon, 70, `${what}: ${said}`);
    t.match(said, /internal error, please report: TypeError: not ours/u);
    child.kill("SIGKILL");
  }
  closeSync(pipe);
  rmSync(fifo);
  t.deepEqual(readdirSync(work), ["whole.mig"], "nothing of the output is left");
});

test("what a killed run has left is told by the next one", async (t) => {
  for (const [command, args] of [
    ["convert", (from: string) => ["convert", from, "--out", join(work, "out[1]")]],
    ["unpack", (from: string) => ["unpack", from, join(work, "out[1]")]],
  ] as const) {
    const child = start(args("-"));
    child.stdin?.write(stream.subarray(0, 1000));
    const left = await appears(/^\.out\[1\]\.[\w-]{12}\.partial$/u);
    await kill(child);
    t.deepEqual(
      leftovers(join(work, "out[1]")).map(({ path }) => path),
      [left],
      `${command} left it`,
    );
    const { code, stderr } = await qevm(args(whole));
    t.equal(code, 0);
    t.ok(stderr.includes(`warning: ${left} (`), stderr);
    t.match(stderr, /can be removed/u);
    rmSync(left!, { recursive: true });
    rmSync(join(work, "out[1]"), { recursive: true });
    t.equal((await qevm(args(whole))).stderr, "", "without it nothing is said");
    rmSync(join(work, "out[1]"), { recursive: true });
  }
});

test("scratch files of any command are known beside an output, and nothing else is", (t) => {
  const folder = mkdtempSync(join(work, "scratch-"));
  const scratch = ["qevm-memory", "qevm-extract", "qevm-copy", "qevm-adapt"].map(
    (stem) => `.${stem}.abcdefgh-_12.partial`,
  );
  for (const name of [...scratch, ".other.abcdefgh-_12.partial", ".qevm-adapt.short.partial", "qevm-adapt"]) {
    writeFileSync(join(folder, name), "guest");
  }
  t.deepEqual(
    leftovers(join(folder, "out")).map(({ path }) => path),
    scratch.toSorted().map((name) => join(folder, name)),
  );
  rmSync(folder, { recursive: true });
  t.end();
});

test("what a killed receive has left can be read", async (t) => {
  const out = join(work, "rec");
  const socket = join(work, "s");
  const child = start(["receive", `unix:${socket}`, "--out", out]);
  await appears(/^s$/u);
  const source = connect(socket);
  source.on("error", () => undefined);
  source.write(stream.subarray(0, 200_000));
  await appears(/^\.rec\.[\w-]{12}\.partial$/u);
  for (let tries = 0; tries < 200 && (leftovers(out)[0]?.bytes ?? 0) < 600_000; tries++) {
    if (leftovers(out)[0]?.recording === true && leftovers(out)[0]!.bytes > 200_000 + (1 << 18)) break;
    await sleep(50);
  }
  await kill(child);
  source.destroy();
  const [left] = leftovers(out);
  t.equal(left?.recording, true, "it is told as a recording");
  const { code, stdout } = await qevm(["inspect", left!.path, "--lenient", "--json"]);
  t.equal(code, 1);
  t.ok((flatDocument(stdout) as { streamLength: number }).streamLength > 100_000, "what came is there");
  const again = start(["receive", `unix:${join(work, "s2")}`, "--out", out]);
  let said = "";
  again.stderr?.on("data", (bytes: Buffer) => (said += bytes.toString()));
  await appears(/^s2$/u);
  t.ok(said.includes(left!.path) && said.includes("--lenient"), said);
  await kill(again);
});
