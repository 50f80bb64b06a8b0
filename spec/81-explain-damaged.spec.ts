/** What is proposed for a damaged file is run as it is printed, on that file. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import test from "tape";
import { withMachine } from "../src/io/container/libvirt/write.js";
import { RamFlag } from "../src/codec/ram/index.js";
import { explainStream, MemorySource, openStream, type Remedy } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { breakages } from "../tools/destination/index.js";
import { PLAIN_PROGRAM } from "./support/program.js";

const TINY = corpusEntry("machine-none-tiny").open();
const COMPRESSED = corpusEntry("compress-1-threads-8").open();

function filled(at: number, length: number): Buffer {
  const bytes = Buffer.from(COMPRESSED);
  return bytes.fill(0x55, at, at + length);
}

const broken = (name: string): Buffer => breakages.find((one) => one.name === name)!.apply(TINY);

const FILES: readonly (readonly [name: string, file: Buffer, containers?: string[]])[] = [
  ["cut in the pages", COMPRESSED.subarray(0, 0x12000)],
  ["cut in the devices", COMPRESSED.subarray(0, COMPRESSED.length - 3000)],
  ["a bad description", filled(COMPRESSED.length - 2000, 20)],
  ["unknown page flags", broken("unknown page flags")],
  ["a page of no block", broken("page of no block")],
  ["an unknown section type", broken("unknown section type")],
  ["unknown page flags in gzip", gzipSync(broken("unknown page flags")), ["gzip"]],
];

/** The exit status, and how many files there are then. */
function perform(
  { command = [] }: Remedy,
  file: Buffer,
  name: string,
): { status: number | null; files: string[]; stderr: string } {
  const folder = mkdtempSync(join(tmpdir(), "qevm-damaged-"));
  try {
    writeFileSync(join(folder, name), file);
    writeFileSync(join(folder, "qevm"), `#!/bin/sh\nexec '${process.execPath}' '${PLAIN_PROGRAM}' "$@"\n`, {
      mode: 0o755,
    });
    const [program = "", ...words] = command;
    const env = { ...process.env, PATH: `${folder}:${process.env["PATH"]}` };
    const { status, stderr } = spawnSync(program, words, { cwd: folder, env, encoding: "utf8" });
    return { status, stderr, files: readdirSync(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("each remedy for a damaged file works on that file", async (t) => {
  for (const [what, file, containers = []] of FILES) {
    const name = "it's $(a) file";
    const stream = containers.length === 0 ? file : broken("unknown page flags");
    const { faults: damage } = await explainStream(new MemorySource(stream), "", { name, containers });
    const [first] = damage;
    t.ok((first?.remedies.length ?? 0) > 0, `${what}: something is proposed`);
    for (const remedy of first?.remedies ?? []) {
      const { status, files, stderr } = perform(remedy, file, name);
      const words = remedy.command?.join(" ") ?? "";
      t.notEqual(stderr.includes("refused"), true, `${what}: ${words} ${stderr}`);
      t.ok(status !== null && status <= 1, `${what}: status ${status}`);
      if (words.includes("extract")) t.ok(files.includes("DIR"), `${what}: the memory is there`);
    }
  }
});

test("a change to a save image makes one again, and ends in virsh restore", async (t) => {
  const text = "Machine type received is 'pc-i440fx-7.2' and local is 'pc-i440fx-7.1'";
  const { findings } = await explainStream(new MemorySource(COMPRESSED), text, { containers: ["libvirt"] });
  const commands = findings[0]?.remedies.flatMap(({ command }) => (command === undefined ? [] : [command.join(" ")]));
  t.deepEqual(commands, ["qevm convert FILE --out NEW --machine pc-i440fx-7.1 --to libvirt", "virsh restore NEW"]);
});

test("convert --machine changes the machine in libvirt's XML too", (t) => {
  const xml = `<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>pc-i440fx-bionic</name>
  <os><type arch='x86_64' machine='pc-i440fx-bionic'>hvm</type></os>
  <qemu:commandline><qemu:arg value='-M'/><qemu:arg value='pc-i440fx-bionic,usb=off'/></qemu:commandline>
</domain>`;
  const changed = withMachine(xml, "pc-i440fx-2.11");
  t.match(changed, /<type arch='x86_64' machine='pc-i440fx-2\.11'>hvm/u);
  t.match(changed, /<qemu:arg value='pc-i440fx-2\.11,usb=off'/u);
  t.match(changed, /<name>pc-i440fx-bionic<\/name>/u, "the domain's name is not a machine");
  t.equal(withMachine(xml, undefined), xml);
  t.match(withMachine(`<type machine="a">`, `b"&<`), /machine="b&quot;&amp;&lt;"/u, "escaped");
  t.end();
});

test("each bad page is shown with its place: five are five", async (t) => {
  const bytes = Buffer.from(COMPRESSED);
  const places: number[] = [];
  for await (const item of await openStream(Uint8Array.from(COMPRESSED))) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        if (batch.flag[i] !== RamFlag.COMPRESS_PAGE || batch.bodyLength[i]! < 100) continue;
        if (places.length < 5 && (batch.firstRecord + i) % 7 === 0) places.push(batch.position[i]!);
      }
    }
  }
  t.equal(places.length, 5);
  // After the record's be64 (with CONTINUE), be32 length and zlib's two bytes.
  for (const at of places) bytes.fill(0xff, at + 8 + 4 + 2, at + 8 + 4 + 40);
  const { faults: damage } = await explainStream(new MemorySource(bytes), "", { name: "five.mig" });
  t.deepEqual(
    damage.flatMap(({ streamOffsets: offsets }) => offsets).toSorted((a, b) => a - b),
    places,
    "every address",
  );
  t.ok(damage.every(({ error }) => error.code === "bad-compressed-data"));
  const work = mkdtempSync(join(tmpdir(), "qevm-five-"));
  try {
    writeFileSync(join(work, "five.mig"), bytes);
    const { stdout, status } = spawnSync(process.execPath, [PLAIN_PROGRAM, "explain", "five.mig"], {
      cwd: work,
      encoding: "utf8",
    });
    t.equal(status, 1);
    for (const at of places) t.ok(stdout.includes(`0x${at.toString(16)}`), `0x${at.toString(16)} in the text`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
});
