import { copyFileSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import test from "tape";
import {
  decodeLibvirtData,
  decodeLibvirtHeader,
  encodeLibvirtData,
  encodeLibvirtHeader,
  openContainers,
} from "../src/io/container/index.js";
import { QevmError } from "../src/bytes/errors.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { IterableSource, MemorySource } from "../src/bytes/source.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { qevm } from "./support/program.js";
import { image } from "./support/container-bytes.js";
import { refusal } from "./support/bytes.js";
import { flatDocument } from "./support/document.js";

const folder = join(projectRoot(), "corpus", "libvirt");
test("real libvirt images of every format", async (t) => {
  const formats = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd"];
  for (const format of formats) {
    const bytes = image(format);
    for (const [way, source] of [
      ["file", new MemorySource(bytes)],
      ["pipe", new IterableSource([bytes.subarray(0, 50), bytes.subarray(50)])],
    ] as const) {
      const input = await openContainers(source);
      const [container] = input.containers;
      if (container?.kind !== "libvirt") return t.end("no libvirt container");
      t.equal(container.format, format, `${format} by ${way}`);
      t.match(container.data.xml, /^<domain type='qemu'>[\s\S]*<name>tiny<\/name>[\s\S]*<\/domain>\s*$/u);
      t.match(container.data.cookie ?? "", /^<cookie>[\s\S]*<\/cookie>\s*$/u);
      const result = await verifyStream(input);
      t.ok(result.identical && result.complete, `${format} by ${way}: the stream comes back identical`);
      t.equal(result.inspection.machine, "pc-i440fx-10.0");
    }
    const header = decodeLibvirtHeader(bytes.subarray(0, 92));
    t.deepEqual(Buffer.from(encodeLibvirtHeader(header)), bytes.subarray(0, 92), `${format}: header`);
    const data = bytes.subarray(92, 92 + header.dataLength);
    const again = encodeLibvirtData(decodeLibvirtData(data, header, 92));
    t.ok(data.equals(again.bytes), `${format}: data area`);
    t.equal(again.cookieOffset, header.cookieOffset);
  }
  t.end();
});

test("a raw libvirt image names the file's own offsets", async (t) => {
  const bytes = image("raw");
  const start = bytes.indexOf("QEVM");
  bytes[start + 4] = 9;
  const error = await refusal(async () => await inspectStream(await openContainers(new MemorySource(bytes))));
  t.equal(error?.code, "unsupported-version");
  t.equal(error?.offset, start + 4);
  t.end();
});

/** What an image with another header is refused with. */
async function change(edit: (bytes: Buffer) => void): Promise<QevmError | undefined> {
  const bytes = image("gzip");
  edit(bytes);
  return await refusal(async () => await openContainers(new MemorySource(bytes)));
}

test("libvirt headers that are refused", async (t) => {
  const foreign = image("gzip").subarray(0, 92);
  foreign[0] = 0x82;
  const wrong = await refusal(async () => decodeLibvirtHeader(foreign, 7));
  t.deepEqual(
    [wrong?.code, wrong?.offset],
    ["bad-magic", 7],
    "not taken for one, whatever text a byte is in Node's encodings",
  );
  const part = await change((bytes) => bytes.write("LibvirtQemudPart"));
  t.match(part?.message ?? "", /incomplete libvirt save image/u);
  t.equal((await change((bytes) => bytes.writeUInt32LE(3, 16)))?.code, "unsupported-version");
  t.equal((await change((bytes) => bytes.writeUInt32LE(0, 20)))?.offset, 20);
  t.equal((await change((bytes) => bytes.writeUInt32LE(7, 28)))?.offset, 28);
  t.equal((await change((bytes) => bytes.writeUInt32LE(0xffffff, 32)))?.offset, 32);
  t.equal((await change((bytes) => bytes.writeUInt32LE(0x7fffffff, 20)))?.code, "limit");
  const cut = await refusal(async () => await openContainers(new MemorySource(image("gzip").subarray(0, 5000))));
  t.equal(cut?.code, "truncated");
  t.end();
});

test("a stream after foreign bytes, and containers inside each other", async (t) => {
  const plain = corpusEntry("machine-none").open();
  const behind = await openContainers(new MemorySource(Buffer.concat([Buffer.alloc(4096, 0x55), plain])));
  t.deepEqual(behind.containers, [{ kind: "foreign", length: 4096 }]);
  t.equal(behind.offset, 4096);
  for (const offset of [1 << 20, (1 << 20) + 1]) {
    const { containers } = await openContainers(new MemorySource(Buffer.concat([Buffer.alloc(offset), plain])));
    t.equal(containers.length, offset > 1 << 20 ? 0 : 1, `after ${offset} bytes`);
  }
  t.ok((await verifyStream(behind)).identical);
  const nested = await openContainers(new MemorySource(gzipSync(image("zstd"))));
  t.deepEqual(
    nested.containers.map(({ kind }) => kind),
    ["gzip", "libvirt"],
  );
  t.ok((await verifyStream(nested)).identical);
  let deep: Buffer = plain;
  for (let k = 0; k < 5; k++) deep = gzipSync(deep);
  t.equal((await refusal(async () => await openContainers(new MemorySource(deep))))?.code, "limit");
  t.end();
});

test("the program sees through containers", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-containers-"));
  try {
    const file = join(work, "vm.save");
    copyFileSync(join(folder, "save.lzop"), file);
    const run = await qevm(["inspect", file, "--json"]);
    const found = flatDocument(run.stdout) as { container: string; machine: string; complete: boolean };
    t.deepEqual([found.container, found.machine, found.complete], ["libvirt (lzop)", "pc-i440fx-10.0", true]);
    const text = await qevm(["inspect", file]);
    t.match(text.stdout, /libvirt save image, version 2, lzop, the guest was paused\n {2}\| <domain type='qemu'>/u);
    truncateSync(file, 300_000);
    const cut = await qevm(["inspect", file]);
    t.equal(cut.code, 1);
    t.match(cut.stderr, /refused at byte 0x[0-9a-f]+, lzop file/u);
    writeFileSync(file, image("gzip").fill("LibvirtQemudPart", 0, 16));
    t.match((await qevm(["inspect", file])).stderr, /incomplete libvirt save image/u);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});

test("a read that fails while the event loop turns is the error of who waits", async (t) => {
  const head = corpusEntry("compress-1-threads-1").open().subarray(0, 600);
  let first = true;
  const input = await openContainers({
    read: async (into) => {
      if (!first) throw new Error("the disk is gone");
      first = false;
      into.set(head);
      return head.length;
    },
  });
  t.equal(await input.read(new Uint8Array(600)), 600);
  // So long that a turn is due: the read has failed before it is over.
  await sleep(150);
  const failed = await Promise.resolve(input.read(new Uint8Array(10))).then(
    () => undefined,
    (error: unknown) => String(error),
  );
  t.equal(failed, "Error: the disk is gone");
});
