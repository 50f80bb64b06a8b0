/**
 * `node dist/tools/engine/load-in-qemu.js [--gib N] [--stream FILE]`: compresses the guest memory of a real QEMU source
 * with each mode of the page engine and loads it in a real QEMU destination; the two memories must be equal.
 *
 * The machine is `none` with its memory in a shared file, so that its memory can hold any bytes: pages of every maker,
 * of this machine's files, and of the given stream.
 */
import { createHash } from "node:crypto";
import { closeSync, createReadStream, mkdtempSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createDeflater } from "../../src/engine/index.js";
import { FileSource } from "../../src/io/transport/file.js";
import { startDestination } from "../destination/index.js";
import { findQemu } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { compressStream } from "./compress-stream.js";
import { makePage, PAGE_MAKERS } from "./pages.js";
import { pagesOfHost, pagesOfStream } from "./sample.js";

const { values } = parseArgs({
  options: {
    gib: { type: "string", default: "1" },
    stream: { type: "string" },
    qemu: { type: "string", default: "7.2" },
  },
});
const size = Number(values.gib) * 1024 ** 3;
const qemu = findQemu(values.qemu);
if (qemu === undefined) throw new Error(`no QEMU ${values.qemu} here`);
const memory = `memory-backend-file,id=ram,size=${size},mem-path=$DIR/ram,share=on`;
const args = ["-m", String(size / 1024 ** 2), "-object", memory, "-machine", "none,memory-backend=ram"];
const work = mkdtempSync(join(tmpdir(), "engine-load-"));

async function hash(file: string): Promise<string> {
  const sum = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20 })) sum.update(chunk as Buffer);
  return sum.digest("hex");
}

/** Every page is different: the makers alternate with real pages, whose copies are made distinct by eight bytes. */
async function fill(file: string): Promise<void> {
  const makers = Object.keys(PAGE_MAKERS);
  const real = values.stream === undefined ? pagesOfHost(16384) : await pagesOfStream(values.stream, 32768);
  const descriptor = openSync(file, "w");
  const page = new Uint8Array(4096);
  for (let i = 0; i < size / 4096; i++) {
    const at = (i % (real.length / 4096)) * 4096;
    if (i % 4 !== 3) page.set(real.subarray(at, at + 4096));
    else makePage(makers[(i >> 2) % makers.length]!, i, page);
    new DataView(page.buffer).setUint32(8 * (i % 512), i);
    writeSync(descriptor, page);
  }
  closeSync(descriptor);
}

try {
  const folder = makeWorkFolder(qemu);
  const ram = join(work, "ram");
  await fill(join(folder, "ram"));
  const source = await QemuProcess.start(qemu, [...args, "-S"], folder);
  const plain = join(work, "plain");
  await source.execute("migrate-set-capabilities", { capabilities: [{ capability: "events", state: true }] });
  await source.execute("migrate-set-parameters", { "max-bandwidth": 1e10 });
  await source.execute("migrate", { uri: "exec:cat > $DIR/stream" });
  const ended = await source.qmp.waitEvent("MIGRATION", 300_000, (data) => data["status"] === "completed");
  if (ended === undefined) throw new Error("the source did not migrate");
  renameSync(source.file("stream"), plain);
  renameSync(source.file("ram"), ram);
  await source.close();
  const expected = await hash(ram);

  for (const mode of ["page", "page-fixed", "page-exact"] as const) {
    const stream = join(work, mode);
    const descriptor = openSync(stream, "w");
    const sink = { write: (bytes: Uint8Array) => void writeSync(descriptor, bytes) };
    const pages = await compressStream(FileSource.open(plain), sink, await createDeflater(mode));
    closeSync(descriptor);
    const { vm, result } = await startDestination({
      qemu,
      args,
      capabilities: ["compress"],
      stream,
      timeout: 300_000,
    });
    const equal = result.loaded && (await hash(vm.file("ram"))) === expected;
    console.log(
      `${mode}: ${pages} pages, ${statSync(stream).size} bytes, QEMU ${qemu.version} ${result.status}${result.error}, memory ${equal ? "equal" : "DIFFERENT"}`,
    );
    await vm.close();
    rmSync(stream);
    if (!equal) process.exitCode = 1;
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
