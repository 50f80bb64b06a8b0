import { openSync, readdirSync, readFileSync, readSync, closeSync, statSync } from "node:fs";
import { join } from "node:path";
import { isZeroPage } from "../../src/engine/index.js";
import { FileSource } from "../../src/io/transport/file.js";
import { capturedPages } from "./capture-payloads.js";

const PAGE = 4096;
/** Pages that are taken together: neighbours in memory are similar, and are close in caches. */
const RUN = 64;

/** Up to `count` plain non-zero pages of a stream, in runs spread over all of it. */
export async function pagesOfStream(file: string, count: number): Promise<Uint8Array> {
  const source = FileSource.open(file);
  const all: Uint8Array[] = [];
  for await (const { compressed, body } of capturedPages(source)) {
    if (!compressed && !isZeroPage(body)) all.push(body);
  }
  return spread(all, count);
}

/**
 * Non-zero pages that any Linux machine has, in about the mix of a guest's memory: two thirds files (programs,
 * libraries, texts), like its page cache, and one third memory of a running process: this one.
 */
export function pagesOfHost(count: number): Uint8Array {
  const memory = ownMemory();
  const fromMemory = memory.length === 0 ? 0 : Math.floor(count / 3 / RUN) * RUN;
  const all: Uint8Array[] = [];
  const folders = ["/usr/lib", "/usr/bin", "/usr/share", "/usr/include", "/etc"];
  const files = folders.flatMap((folder) => listFiles(folder, 4000)).toSorted();
  for (const file of [process.execPath, ...files]) {
    for (const page of filePages(file, 256)) if (!isZeroPage(page)) all.push(page);
    if (all.length > 8 * count) break;
  }
  if (all.length === 0) throw new Error("no files to take pages from");
  return Buffer.concat([spread(memory, fromMemory), spread(all, count - fromMemory)]);
}

/** Non-zero pages of this process's writable memory; none without /proc. */
function ownMemory(): Uint8Array[] {
  const pages: Uint8Array[] = [];
  let descriptor: number;
  try {
    descriptor = openSync("/proc/self/mem", "r");
  } catch {
    return pages;
  }
  for (const line of readFileSync("/proc/self/maps", "latin1").split("\n")) {
    const [, from = "0", to = "0"] = /^([0-9a-f]+)-([0-9a-f]+) rw-p/u.exec(line) ?? [];
    for (let at = Number.parseInt(from, 16); at < Number.parseInt(to, 16); at += PAGE) {
      const page = new Uint8Array(PAGE);
      try {
        if (readSync(descriptor, page, 0, PAGE, at) === PAGE && !isZeroPage(page)) pages.push(page);
      } catch {
        // The page is reserved only.
      }
      if (pages.length > 20_000) break;
    }
  }
  closeSync(descriptor);
  return pages;
}

/** Up to `most` regular files below a folder, without following links. */
export function listFiles(folder: string, most: number): string[] {
  const found: string[] = [];
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined && found.length < most; next = folders.pop()) {
    try {
      for (const entry of readdirSync(next, { withFileTypes: true })) {
        const path = join(next, entry.name);
        if (entry.isDirectory()) folders.push(path);
        else if (entry.isFile() && statSync(path).size >= PAGE) found.push(path);
      }
    } catch {
      // Not readable.
    }
  }
  return found;
}

/** Up to `most` whole pages of a file, spread over it. */
export function filePages(file: string, most: number): Uint8Array[] {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch {
    return [];
  }
  try {
    const total = Math.floor(statSync(file).size / PAGE);
    const step = Math.max(1, Math.floor(total / most));
    const pages: Uint8Array[] = [];
    for (let i = 0; i < total && pages.length < most; i += step) {
      const page = new Uint8Array(PAGE);
      if (readSync(descriptor, page, 0, PAGE, i * PAGE) === PAGE) pages.push(page);
    }
    return pages;
  } finally {
    closeSync(descriptor);
  }
}

function spread(all: readonly Uint8Array[], count: number): Uint8Array {
  const out = new Uint8Array(count * PAGE);
  if (all.length === 0) return out;
  const runs = Math.ceil(count / RUN);
  const step = Math.max(RUN, Math.floor(all.length / runs));
  for (let n = 0; n < count; n++) {
    out.set(all[(Math.floor(n / RUN) * step + (n % RUN)) % all.length]!, n * PAGE);
  }
  return out;
}
