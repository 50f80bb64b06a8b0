/** The page in a Firefox: the texts are those of the program for the same file. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import test from "tape";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { findFirefox, Firefox } from "./support/firefox.js";
import { mappedRamFile } from "./support/mapped-ram-file.js";
import { qevm } from "./support/program.js";
import { image } from "./support/qcow2-image.js";

const work = mkdtempSync(join(tmpdir(), "qevm-page-firefox-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const program = findFirefox();
const skip = program === undefined ? { skip: "no Firefox here: it is not asked" } : {};

function put(name: string, bytes: Uint8Array): string {
  writeFileSync(join(work, name), bytes);
  return name;
}

/** What the program prints, run in the folder with the files. */
async function printed(...args: string[]): Promise<string> {
  return (await qevm(args, { cwd: work })).stdout;
}

/** Containers that need no program to be made. */
function files(): string[] {
  const stream = corpusEntry("machine-none").open();
  const libvirt = join(projectRoot(), "corpus", "libvirt");
  const states = [{ name: "one", bytes: stream }];
  return [
    put("plain.mig", corpusEntry("pc-4.2").open()),
    put("plain.gz", gzipSync(stream)),
    ...["save.xz", "save.zstd"].map((name) => put(name, readFileSync(join(libvirt, name)))),
    ...["save.raw", "save.sparse"].map((name) => put(name, gunzipSync(readFileSync(join(libvirt, `${name}.gz`))))),
    put("mapped-ram.mig", mappedRamFile()),
    put("disk.qcow2", image({ states, packed: (k) => k % 2 === 0 }).bytes),
    put("cut.mig", stream.subarray(0, stream.length - 3000)),
  ];
}

test("each tab on a capture in every container, in Firefox", { timeout: 300_000, ...skip }, async (t) => {
  const firefox = await Firefox.start(program!);
  try {
    for (const name of files()) {
      await firefox.choose(join(work, name));
      await firefox.until(`return document.querySelector('[aria-label="' + arguments[0] + '"]') !== null;`, name);
      await firefox.tab("Summary");
      await firefox.until(`return /^(?:Damaged|No damage found)$/.test(
        document.querySelector(".state strong")?.textContent) || document.querySelector(".refusal") !== null;`);
      if (name === "cut.mig") {
        t.match(String(await firefox.run("return document.body.innerText;")), /ends inside|Damaged/u, "a cut file");
        continue;
      }
      t.equal(await firefox.lines("Summary"), await printed("inspect", name), `${name}: inspect`);
      await firefox.tab("Devices");
      t.equal(await firefox.lines("Devices"), await printed("devices", name), "devices");
      await firefox.tab("Explain");
      t.equal(await firefox.lines("Explanation"), await printed("explain", name), "explain");
      await firefox.tab("RAM map");
      t.equal(await firefox.until(`return document.querySelector("svg.strip") !== null;`), true, "the map");
      await firefox.tab("Memory");
      t.match(await firefox.lines("Memory at"), /^[0-9a-f]{8}: (?:[0-9a-f]{4} ){8} .{16}\n/u, "memory");
      await firefox.tab("Stream");
      t.match(await firefox.lines("What this byte is"), /^byte 0x[0-9a-f]+ \(\d+\)\n {2}header\n/u, "the stream");
    }
    t.deepEqual(await firefox.run("return window.wrong;"), [], "no error, no message, nothing against the policy");
    const asked = await firefox.run(`return performance.getEntriesByType("resource").map(({ name }) => name)
      .filter((name) => !name.startsWith("blob:"));`);
    t.deepEqual(asked, [], "nothing was asked for");
  } finally {
    await firefox.close();
  }
});
