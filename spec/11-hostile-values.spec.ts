/** Unexpected exceptions: sizes and nesting from a file that exceed what the language supports. */
import { spawn, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { jsonPieces } from "../src/analyse/text/json-pieces.js";
import { parseJson } from "../src/io/transport/parse-json.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { qcow2 } from "../tools/hunt/bases.js";
import { PLAIN_PROGRAM } from "./support/program.js";
import { indexWith } from "../tools/streams/page-index.js";

const work = mkdtempSync(join(tmpdir(), "qevm-values-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const stream = corpusEntry("machine-none-tiny").open();
const file = join(work, "vm.mig");
writeFileSync(file, stream);
const unpacked = join(work, "unpacked");

function qevm(...args: string[]): { code: number | null; stdout: string; stderr: string } {
  const command = ["-u", "NODE_OPTIONS", process.execPath, PLAIN_PROGRAM, ...args];
  const { status, stdout, stderr } = spawnSync("env", command, { timeout: 60_000, killSignal: "SIGKILL" });
  return { code: status, stdout: stdout.toString(), stderr: stderr.toString() };
}

/** A refusal, and no stack. Status 2: a limit, of which nothing says that the input is wrong. */
function isRefused(t: test.Test, args: string[], text: RegExp, status: 1 | 2 = 1): void {
  const { code, stderr } = qevm(...args);
  t.equal(code, status, args.join(" "));
  t.match(stderr, text);
  t.notOk(/^\s+at .*:\d+/mu.test(stderr), "no stack");
}

test("every command refuses invalid target page sizes", (t) => {
  const large = join(projectRoot(), "corpus", "field", "page-256K.mig");
  for (const args of [
    ["inspect", large],
    ["extract", large, "--format", "raw", "--out", join(work, "x")],
    ["extract", large, "--format", "blocks", "--out", join(work, "x")],
    ["convert", large, "--to", "mapped-ram", "--out", join(work, "x")],
    ["unpack", large, join(work, "x")],
  ])
    isRefused(t, args, /target page bits: expected 10 to 16, found 18/);
  t.end();
});

/** An image of the stream in a snapshot, with other numbers, and a length of `apparent` bytes that are a hole. */
function image(name: string, bits: number, apparent: number, change: (bytes: Buffer, size: number) => void): string {
  const bytes = qcow2(stream, bits);
  change(bytes, 2 ** bits);
  const path = join(work, name);
  writeFileSync(path, bytes);
  if (apparent > 0) truncateSync(path, apparent);
  return path;
}

test("qcow2: an L1 table of 2^32 entries, and a file of 2 TiB of hole", (t) => {
  const entries = image("l1.qcow2", 9, 2 ** 36, (bytes, size) => {
    bytes.writeUInt32BE(2 ** 32 - 1, size + 8);
    bytes.writeBigUInt64BE((2n ** 32n - 2n) * 32_768n, size + 40);
  });
  isRefused(t, ["inspect", entries], /L1 table is too large: expected at most 4194304 entries, found 4294967295/, 2);
  const hole = image("hole.qcow2", 9, 2 ** 41, () => {});
  const { code, stdout } = qevm("inspect", hole, "--json");
  t.equal(code, 0, "the file's length costs nothing");
  t.ok(stdout.includes('"qcow2"'));
  const state = image("plain.qcow2", 16, 0, () => {});
  t.equal(qevm("convert", state, "--out", join(work, "state.mig")).code, 0);
  t.deepEqual(readFileSync(join(work, "state.mig")), Buffer.from(stream), "and the state is read as it is");
  const twice = image("twice.qcow2", 9, 0, (bytes, size) => {
    // The first two clusters of the state at one place.
    let l2 = Number(bytes.readBigUInt64BE(4 * size) & 0xff_ffff_ffff_fe00n);
    while (bytes.readBigUInt64BE(l2) === 0n) l2 += 8;
    bytes.copy(bytes, l2 + 8, l2, l2 + 8);
  });
  isRefused(t, ["inspect", twice], /in use already/);
  t.end();
});

test("deeply nested JSON is refused with the position", (t) => {
  t.equal(qevm("unpack", file, unpacked).code, 0);
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  const objects = '{"a":'.repeat(200_000) + "1" + "}".repeat(200_000);
  const changes: readonly (readonly [name: string, change: (text: string) => string])[] = [
    ["manifest.json", () => deep],
    ["manifest.json", () => objects],
    ["manifest.json", (text) => text.replace('"items": [', `"items": [${deep},`)],
    ["devices/008-timer-0.json", () => deep],
    ["devices/008-timer-0.json", (text) => text.replace(/"fields": \{/u, `"fields": {"a": ${objects},`)],
  ];
  for (const [name, change] of changes) {
    const folder = join(work, "deep");
    rmSync(folder, { recursive: true, force: true });
    cpSync(unpacked, folder, { recursive: true });
    writeFileSync(join(folder, name), change(readFileSync(join(folder, name), "utf8")));
    isRefused(t, ["pack", folder, "--out", join(work, "never")], /nested too deep at character \d+/, 2);
  }
  t.deepEqual(parseJson(`{"a":"${"[".repeat(500)}\\""}`, "x"), { a: `${"[".repeat(500)}"` }, "not by what is quoted");
  t.equal(JSON.stringify(parseJson("[".repeat(200) + "]".repeat(200), "x")).length, 400, "200 levels are read");
  t.throws(() => parseJson("[".repeat(201), "x"), /nested too deep at character 200 /);
  t.throws(() => parseJson("{", "x"), { name: "QevmError", code: "bad-description" });
  t.end();
});

test("a document printed in pieces equals JSON.stringify", (t) => {
  const values: unknown[] = [
    null,
    [],
    {},
    [[], {}, [undefined, Number.NaN, -0, 1e300]],
    { a: undefined, b: { c: [1, "2\n", { d: true }] }, "\u0000": null, toJSON: 5 },
    { when: new Date(0), bytes: Buffer.from("ab"), array: new Uint8Array(2), f: () => 1 },
    Array.from({ length: 40_000 }, (_, i) => i),
  ];
  for (const value of values) {
    const pieces = [...jsonPieces(value)];
    t.equal(pieces.join(""), JSON.stringify(value, null, 2));
    t.ok(pieces.every((piece) => piece.length < 70_000));
  }
  t.equal([...jsonPieces({ a: [2n ** 63n] })].join(""), '{\n  "a": [\n    "0x8000000000000000"\n  ]\n}');
  let made = 0;
  const later = Array.from({ length: 1000 }, () => ({ toJSON: () => ({ made: ++made, long: "x".repeat(10_000) }) }));
  const [first] = jsonPieces(later);
  t.ok(first !== undefined && made < 10, "elements are made when they are printed");
  t.end();
});

test("a page index with a right checksum that is not JSON is made again", (t) => {
  const index = join(work, "index");
  const read = (): ReturnType<typeof qevm> => qevm("read", vm, "--block", "pc.bios", "--index", index);
  const vm = join(work, "firmware.mig");
  writeFileSync(vm, corpusEntry("microvm-firmware").open());
  const { stdout } = read();
  const good = readFileSync(index);
  for (const text of ["{", "[".repeat(100_000) + "]".repeat(100_000), "null", '{"stamp":{}}']) {
    writeFileSync(index, indexWith(good, text));
    const again = read();
    t.deepEqual([again.code, again.stdout], [0, stdout], text.slice(0, 20));
    t.match(again.stderr, /it is damaged; made now/);
  }
  t.end();
});

test("an unexpected exception prints one line and exits with 70", async (t) => {
  // Thrown inside the program while it waits for a source.
  const bad = `data:text/javascript,setTimeout(()=>{throw new TypeError("x\\n\\x1b[31my")},300)`;
  for (const debug of ["", "1"]) {
    const command = ["-u", "NODE_OPTIONS", `QEVM_DEBUG=${debug}`, process.execPath, "--import", bad, PLAIN_PROGRAM];
    const out = join(work, "never");
    const child = spawn("env", [...command, "receive", "tcp:127.0.0.1:0", "--out", out], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 20_000,
    });
    let text = "";
    child.stderr.on("data", (bytes: Buffer) => (text += bytes.toString()));
    const code = await new Promise((resolve) => child.once("close", resolve));
    t.equal(code, 70);
    const lines = text.trimEnd().split("\n");
    const at = lines.indexOf("qevm receive: internal error, please report: TypeError: x [31my");
    t.ok(at >= 0, "one line");
    t.equal(lines.length > at + 1, debug !== "", "the stack only where it is asked for");
    t.notOk(existsSync(out), "nothing is left");
  }
  t.end();
});
