import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { type Fill, namedFill } from "../src/rewrite/generate/fill.js";
import { generateNone, type NoneOptions } from "../src/rewrite/generate/none.js";
import type { ByteSink } from "../src/bytes/index.js";
import { readStatus, startDestination } from "../tools/destination/index.js";
import { firstDifference, locateBlocks } from "../tools/qemu/memory.js";
import { suites } from "../tools/versions/suites.js";
import { qemuOf } from "./support/loads.js";

/** `npm run test:versions` runs everything, `npm test` one case of each kind. */
const all = process.env["QEVM_VERSIONS"] === "all";

const MIB = 1 << 20;
const text = namedFill("text", 7);
const random = namedFill("random", 7);

/** 8 MiB full of words, noise and holes. */
const dense: Fill = (page, offset) => {
  const kind = (offset / 4096) % 4;
  return kind === 0 ? text(page, offset) : kind === 1 && random(page, offset);
};

/** 4 GiB with one page of words per MiB, including the last page. */
const sparse: Fill = (page, offset) => offset % MIB === MIB - 4096 && text(page, offset);

async function generate(path: string, options: NoneOptions): Promise<void> {
  const fd = openSync(path, "w");
  const sink: ByteSink = { write: (bytes) => void writeSync(fd, bytes) };
  try {
    await generateNone(sink, options);
  } finally {
    closeSync(fd);
  }
}

const capability = { normal: [], zlib: ["compress"], xbzrle: ["xbzrle"] } as const;

for (const { version } of suites) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  for (const [what, memory, fill] of [
    ["8 MiB", 8 * MIB, dense],
    ["4 GiB", 4096 * MIB, sparse],
  ] as const) {
    for (const pages of ["normal", "zlib", "xbzrle"] as const) {
      // Compressed pages ended with 9.0. Of the large ones, one is enough for `npm test`.
      if ((pages === "zlib" && major > 9) || (!all && memory > 8 * MIB && (version !== "7.2" || pages !== "normal")))
        continue;
      test(`${what} of ${pages} pages generated, loaded by QEMU ${version}`, async (t) => {
        const qemu = qemuOf(t, version);
        if (qemu === undefined) return;
        const folder = mkdtempSync(join(tmpdir(), "qevm-generate-"));
        const stream = join(folder, "stream");
        try {
          await generate(stream, { memory, fill, pages, level: 1, qemu: [major, minor] });
          t.comment(`${statSync(stream).size} bytes`);
          const args = ["-machine", "none", "-m", String(memory / MIB), "-nodefaults"];
          const options = { qemu, args, capabilities: capability[pages], stream, timeout: 120_000, autostart: true };
          const { vm, result } = await startDestination(options);
          try {
            t.equal(result.status, "completed", `loaded ${result.error}`);
            const block = (await locateBlocks(vm)).find(({ name }) => name === "ram");
            t.equal(block?.used, memory, "one block of that size");
            if (block === undefined) return;
            const different = firstDifference(vm, block, (offset, into) => {
              for (let at = 0; at < into.length; at += 4096) fill(into.subarray(at, at + 4096), offset + at);
            });
            t.equal(different, undefined, "every byte is what was meant");
            t.equal(await readStatus(vm), "running", "run state");
          } finally {
            await vm.close();
          }
        } finally {
          rmSync(folder, { recursive: true, force: true });
        }
      });
    }
  }
}

test("the comparison finds one changed byte", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "qevm-generate-"));
  const stream = join(folder, "stream");
  await generate(stream, { memory: 8 * MIB, fill: dense, pages: "normal", level: 1, qemu: [7, 2] });
  const { vm } = await startDestination({ qemu, args: ["-machine", "none", "-m", "8", "-nodefaults"], stream });
  try {
    const block = (await locateBlocks(vm)).find(({ name }) => name === "ram");
    const different =
      block &&
      firstDifference(vm, block, (offset, into) => {
        for (let at = 0; at < into.length; at += 4096) dense(into.subarray(at, at + 4096), offset + at);
        if (offset === 5 * MIB) into[77]! ^= 1;
      });
    t.equal(different, 5 * MIB + 77);
  } finally {
    await vm.close();
    rmSync(folder, { recursive: true, force: true });
  }
});
