import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { projectRoot } from "../corpus.js";

/** An input that the hunt damages: a file, or a folder of files. */
export interface Base {
  name: string;
  path: string;
  /** `unpacked` folders go to pack; `indexed` ones have `stream` and its `index`. */
  kind: "file" | "recording" | "unpacked" | "indexed";
}

/** Maximum stream length: longer cases take too long. */
const LONGEST = 700_000;

/** Makes all bases in `folder`: streams and recordings of the corpus, and one stream in each container. */
export function makeBases(folder: string): Base[] {
  const corpus = join(projectRoot(), "corpus");
  const bases: Base[] = [];
  const file = (name: string, bytes: Uint8Array): string => {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    bases.push({ name, path, kind: "file" });
    return path;
  };
  for (const name of readdirSync(corpus)) {
    const at = join(corpus, name);
    if (existsSync(join(at, "stream.gz"))) {
      const bytes = gunzipSync(readFileSync(join(at, "stream.gz")));
      if (bytes.length < LONGEST) file(`${name}.mig`, bytes);
    } else if (existsSync(join(at, "recording.json"))) {
      const to = join(folder, name);
      mkdirSync(to);
      let total = 0;
      for (const one of readdirSync(at).filter((entry) => entry.includes(".bin") || entry === "recording.json")) {
        const bytes = readFileSync(join(at, one));
        const plain = one.endsWith(".gz") ? gunzipSync(bytes) : bytes;
        total += plain.length;
        writeFileSync(join(to, one.replace(/\.gz$/u, "")), plain);
      }
      if (total < LONGEST) bases.push({ name, path: to, kind: "recording" });
    }
  }
  for (const name of readdirSync(join(corpus, "field")).filter((one) => !one.endsWith(".md")))
    file(`field-${name}`, readFileSync(join(corpus, "field", name)));
  for (const name of readdirSync(join(corpus, "libvirt")).filter((one) => one.startsWith("save."))) {
    const bytes = readFileSync(join(corpus, "libvirt", name));
    file(`libvirt-${name}`, name.endsWith(".gz") ? gunzipSync(bytes) : bytes);
  }
  const tiny = join(folder, "machine-none-tiny.mig");
  const rich = join(folder, "microvm-firmware.mig");
  for (const [tool, args] of Object.entries({
    gzip: ["-c"],
    bzip2: ["-c"],
    xz: ["-c"],
    zstd: ["-c"],
    lz4: ["-c"],
    lzop: ["-c"],
  })) {
    file(`packed.${tool}`, execFileSync(tool, [...args, tiny]));
    file(`packed-rich.${tool}`, execFileSync(tool, [...args, rich]));
  }
  for (const [name, from] of [
    ["none", tiny],
    ["rich", rich],
    ["xbzrle", join(folder, "v5.2-xbzrle.mig")],
  ] as const) {
    if (!existsSync(from)) continue;
    const to = join(folder, `unpacked-${name}`);
    qevm("unpack", from, to);
    bases.push({ name: `unpacked-${name}`, path: to, kind: "unpacked" });
    const indexed = join(folder, `indexed-${name}`);
    mkdirSync(indexed);
    cpSync(from, join(indexed, "stream"), { preserveTimestamps: true });
    try {
      qevm("read", join(indexed, "stream"), "--physical", "0", "--index", join(indexed, "index"));
    } catch {
      // Without main memory the command fails, but the index is written.
    }
    if (existsSync(join(indexed, "index"))) bases.push({ name: `indexed-${name}`, path: indexed, kind: "indexed" });
  }
  const mapped = join(folder, "mapped.mig");
  qevm("convert", rich, "--to", "mapped-ram", "--out", mapped);
  if (readFileSync(mapped).length < 2 * LONGEST) file("mapped.mig", readFileSync(mapped));
  const image = qcow2(readFileSync(tiny), 9);
  file("image9.qcow2", image);
  file("image16.qcow2", qcow2(readFileSync(tiny), 16));
  return bases;
}

function qevm(...args: string[]): void {
  execFileSync(process.execPath, [join(projectRoot(), "dist/bin/qevm.cjs"), ...args], { stdio: "pipe" });
}

/** A version 3 qcow2 image with one snapshot "s" whose VM state is `state`, in clusters of 2^bits bytes. */
export function qcow2(state: Uint8Array, bits: number): Buffer {
  const size = 2 ** bits;
  const clusters = Math.ceil(state.length / size);
  const perTable = size / 8;
  const tables = Math.ceil(clusters / perTable);
  const l1Clusters = Math.ceil((tables * 8) / size);
  // Header, snapshot table, refcounts (not read), L1, L2 tables, data.
  const l1 = 4 * size;
  const l2 = l1 + l1Clusters * size;
  const data = l2 + tables * size;
  const image = Buffer.alloc(data + clusters * size);
  image.writeUInt32BE(0x514649fb, 0);
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(bits, 20);
  image.writeUInt32BE(1, 36 + 20);
  image.writeBigUInt64BE(BigInt(2 * size), 48);
  image.writeUInt32BE(1, 60);
  image.writeBigUInt64BE(BigInt(size), 64);
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(104, 100);
  image.writeBigUInt64BE(BigInt(l1), 40);
  image.writeBigUInt64BE(BigInt(l1), size);
  image.writeUInt32BE(tables, size + 8);
  image.writeUInt16BE(1, size + 12);
  image.writeUInt16BE(1, size + 14);
  image.writeUInt32BE(state.length, size + 32);
  image.writeUInt32BE(24, size + 36);
  image.writeBigUInt64BE(BigInt(state.length), size + 40);
  image.write("1s", size + 64, "latin1");
  for (let k = 0; k < tables; k++) image.writeBigUInt64BE(BigInt(l2 + k * size) | (1n << 63n), l1 + 8 * k);
  for (let k = 0; k < clusters; k++) image.writeBigUInt64BE(BigInt(data + k * size) | (1n << 63n), l2 + 8 * k);
  image.set(state, data);
  return image;
}
