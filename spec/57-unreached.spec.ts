import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { loadStream } from "../src/rewrite/load/index.js";
import { FlatMemory } from "../src/rewrite/load/sinks.js";
import { scanPages } from "../src/guest/read/guest-memory.js";
import { MemorySource } from "../src/bytes/index.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const field = (name: string): Buffer => gunzipSync(readFileSync(join("corpus/field", name)));
const without = field("pbs-state-without.bin");
const known = field("pbs-state.bin");
const START = known.indexOf("pbs-state") - 6;
/** The same section under a name that nobody knows. */
const unknown = Buffer.from(known);
unknown.write("xyz-state", START + 6, "latin1");
const FOOTER = Buffer.from(concat([0x7e], be(1, 4)));
/** And without its footer: nothing proves where it ends. */
const open = Buffer.from(unknown);
const SECTION_ID = unknown.readUInt32BE(START + 1);

function footerAt(bytes: Buffer): number {
  FOOTER.writeUInt32BE(SECTION_ID, 1);
  return bytes.indexOf(FOOTER, START);
}
open[footerAt(open)] = 0x7d;

const PLACE = /RAM after an undecodable section cannot be read: no codec for the iterative section "xyz-state"/u;

test("pbs-state: the pages after it are read, and every command has the section", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-spec-57-"));
  try {
    const { inspection, identical, opaqueBytes } = await verifyStream(new MemorySource(known));
    t.ok(identical && opaqueBytes === 0 && inspection.complete, "verify: identical, nothing opaque");
    const section = inspection.sections.find(({ section: name }) => name === "pbs-state");
    t.deepEqual(section?.recordCounts, { data: 1 }, "one record");
    const file = "corpus/field/pbs-state.bin";
    const read = await qevm(["read", file, "--physical", "0x1000", "--length", "8", "--json"]);
    t.equal((flatDocument(read.stdout) as { hex: string }).hex, "8877665544332211", "read");
    t.equal((await qevm(["unpack", file, join(work, "u")])).code, 0, "unpack");
    t.equal((await qevm(["pack", join(work, "u"), "--out", join(work, "p")])).code, 0, "pack");
    t.ok(readFileSync(join(work, "p")).equals(known), "the same bytes");
    for (const name of ["pbs-state.bin", "pbs-state-without.bin"]) {
      const out = join(work, `${name}.raw`);
      t.equal((await qevm(["extract", `corpus/field/${name}`, "--format", "raw", "--out", out])).code, 0, name);
    }
    const [a, b] = ["pbs-state.bin.raw", "pbs-state-without.bin.raw"].map((name) => readFileSync(join(work, name)));
    t.ok(a!.equals(b!), "extract: the memory of the guest without the section");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

test("an unknown section is walked over by its footer and what follows it", async (t) => {
  const { undecoded, complete, ram } = await inspectStream(new MemorySource(unknown));
  t.ok(complete && undecoded.length === 1, "the stream is read to its end");
  t.match(undecoded[0]!.reason, /"xyz-state"/u, undecoded[0]!.reason);
  const plain = await inspectStream(new MemorySource(without));
  t.deepEqual(ram, plain.ram, "with all of the pages");
  // Footers inside the payload that nothing valid follows prove nothing.
  const trap = Buffer.from(unknown);
  FOOTER.writeUInt32BE(SECTION_ID, 1);
  trap.set(FOOTER, START + 100);
  trap.set(concat(FOOTER, [2], be(99, 4)), START + 200);
  trap.set(concat(FOOTER, [1], be(SECTION_ID, 4), str8("ram"), be(0, 4), be(4, 4)), START + 300);
  const passed = await inspectStream(new MemorySource(trap));
  t.deepEqual(passed.ram, plain.ram, "false footers are passed over");
  t.deepEqual(passed.undecoded, undecoded, "and the section has its length");
  const { streamLength: bytes, opaqueBytes } = await verifyStream(new MemorySource(unknown));
  t.ok(opaqueBytes > 0 && opaqueBytes < bytes, "verify counts it as opaque");
});

test("RAM after a section whose end is not proved is delivered by nobody", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-spec-57-"));
  const file = join(work, "open.mig");
  writeFileSync(file, open);
  const out = (name: string): string => join(work, name);
  try {
    const commands: string[][] = [
      ...["blocks", "raw", "elf", "lime"].map((format) => ["extract", file, "--format", format, "--out", out(format)]),
      ["convert", file, "--out", out("keep"), "--machine", "pc-i440fx-7.1"],
      ["convert", file, "--out", out("normal"), "--ram", "normal"],
      ["convert", file, "--out", out("mapped"), "--to", "mapped-ram"],
      ["convert", file, "--out", out("recording"), "--to", "recording"],
      ["read", file, "--physical", "0x1000"],
      ["devices", file, "cpu"],
      ["unpack", file, out("unpacked")],
      ["diff", file, "corpus/field/pbs-state.bin"],
      ["generate", "--template", file, "--out", out("made"), "--set", "cpu:env.eip=1"],
      ["verify", file],
    ];
    for (const command of commands) {
      const { code, stderr, stdout } = await qevm(command, { plain: true });
      t.equal(code, 2, command.join(" "));
      t.match(stderr, PLACE, `${command[0]}: why`);
      t.ok(stderr.includes(`0x${START.toString(16)}`), `${command[0]}: where`);
      t.notOk(/: identical/u.test(stdout), `${command[0]}: nothing is called identical`);
    }
    const lenient = await qevm(["extract", file, "--format", "blocks", "--out", out("there"), "--lenient", "--json"]);
    t.equal(lenient.code, 1, "lenient: delivered, with status 1");
    t.match(lenient.stderr, PLACE, "and listed");
    t.match(lenient.stderr, /the output is unreliable: 1 anomaly was skipped/u, "in words");
    const told = flatDocument(lenient.stdout) as { damage: { code: string; streamOffset: number }[] };
    t.deepEqual([told.damage.length, told.damage[0]?.streamOffset], [1, START], "and in JSON");
    const seen = await qevm(["inspect", file]);
    t.equal(seen.code, 0, "inspect counts bytes and delivers none");
    t.match(seen.stderr, PLACE, "and says so");
    const explained = await qevm(["explain", file]);
    t.match(explained.stdout, /which releases of QEMU load it is\s+not known/u, "explain claims no release");
    const library = { devices: true };
    t.equal((await refusal(() => scanPages(new MemorySource(open), library)))?.code, "unsupported", "GuestPages");
    t.equal((await refusal(() => loadStream(new MemorySource(open), new FlatMemory())))?.code, "unsupported", "load");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});

const section = (name: string): Uint8Array =>
  concat([1], be(1, 4), str8(name), be(0, 4), be(1, 4), be(3n, 8), [1, 2, 3]);

test("without footers (machine types up to 2.3) the codec is enough, and nothing proves the end of others", async (t) => {
  const head = concat(be(0x5145564d00000003n, 8), [1], be(2, 4), str8("ram"), be(0, 4), be(4, 4));
  const list = concat(be(0x1000n | 4n, 8), str8("pc.ram"), be(0x1000n, 8), be(0x10n, 8));
  const pages = concat([3], be(2, 4), be(8n, 8), str8("pc.ram"), new Uint8Array(4096).fill(7), be(0x10n, 8), [0]);
  const whole = concat(head, list, section("pbs-state"), pages);
  const { ram, complete } = await inspectStream(new MemorySource(whole));
  t.ok(complete && ram.pages.normal === 1, "pbs-state");
  const error = await refusal(() => verifyStream(new MemorySource(concat(head, list, section("other"), pages))));
  t.deepEqual([error?.code, error?.offset], ["unsupported", head.length + list.length], "another section");
});

test("what is after the stream in a volume is not a part of it", async (t) => {
  const volume = Buffer.alloc(Math.ceil(without.length / 512) * 512 + 4096, 0x5a);
  volume.set(without);
  const { opaqueBytes, trailingBytes, undecoded } = await inspectStream(new MemorySource(volume));
  t.deepEqual([undecoded, opaqueBytes], [[], 0], "nothing is called not understood");
  t.equal(trailingBytes, volume.length - without.length, "it is counted");
  const odd = await inspectStream(new MemorySource(volume.subarray(0, volume.length - 1)));
  t.ok(odd.opaqueBytes > 0, "a file that is not whole sectors is not a volume");
});
