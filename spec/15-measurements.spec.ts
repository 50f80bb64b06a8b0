import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "tape";
import { plainEnvironment } from "./support/program.js";
import { median, pairs, row } from "../tools/bench/pair.js";
import { readPhysical, startDestination } from "../tools/destination/index.js";
import { findQemus } from "../tools/qemu/find.js";
import { fillPage, makePlainStream, PAGE, zeroRuns, type PlainOptions } from "../tools/streams/plain.js";

test("rounds alternate, and the ratio is the median of the pairs", async (t) => {
  const order: string[] = [];
  // The machine becomes three times slower half-way: each pair stays comparable, the sums do not.
  const a = [99, 2, 4, 6, 9, 12];
  const b = [1, 1, 2, 2, 3, 3];
  const measured = await pairs(
    {
      before: () => {
        order.push("-");
      },
      measure: () => {
        order.push("a");
        return a.shift() ?? Number.NaN;
      },
    },
    {
      measure: async () => {
        order.push("b");
        return Promise.resolve(b.shift() ?? Number.NaN);
      },
    },
    5,
  );
  t.equal(order.join(""), "b-a-abb-a-abb-a-ab", "the first, reversed round is not counted");
  t.equal(measured.ratio, 3, "median of 2, 2, 3, 3, 4");
  t.deepEqual([measured.min, measured.max, measured.runs], [2, 4, 5]);
  t.equal(measured.difference, 4, "median of 1, 2, 4, 6, 9");
  t.deepEqual(row("x", "y", measured), { name: "x", ratio: 3, against: "y", runs: 5, min: 2, max: 4 });
  t.deepEqual([median([3, 1, 2]), median([4, 1, 2, 3]), median([7])], [2, 2.5, 7]);
});

test("the bench lists the measurements for an unknown name", (t) => {
  const main = fileURLToPath(new URL("../tools/bench/main.js", import.meta.url));
  const there = readdirSync(fileURLToPath(new URL("../tools/bench", import.meta.url)))
    .filter((file) => /^(?!loader|main|pair|resident)\w+\.js$/u.test(file))
    .map((file) => file.replace(/\.js$/u, ""));
  for (const args of [[], ["nothing"], ["files", "--runs", "0"], ["files", "--runs", "many"]]) {
    const run = spawnSync(process.execPath, [main, ...args], { encoding: "utf8", env: plainEnvironment() });
    t.equal(run.status, 2, args.join(" "));
    t.equal(run.stdout, "");
    for (const what of there) t.ok(run.stderr.includes(what), `it names ${what}`);
  }
  t.end();
});

/** The expected memory of such a stream. */
function memory(options: PlainOptions): Buffer {
  const all = Buffer.alloc(options.ram);
  let page = 0;
  for (const run of zeroRuns(options)) {
    for (const last = page + run.pages; page < last; page++) {
      if (!run.zero) fillPage(all.subarray(page * PAGE, (page + 1) * PAGE), page);
    }
  }
  return all;
}

test("the generator keeps the share of zero pages", (t) => {
  for (const zero of [0, 0.3, 0.5, 0.97, 1]) {
    const counts = makePlainStream({ ram: 64 << 20, zero }, () => undefined);
    t.equal(counts.normal + counts.zero, (64 << 20) / PAGE);
    const share = counts.zero / (counts.normal + counts.zero);
    t.ok(Math.abs(share - zero) < 0.03, `${share.toFixed(3)} for ${zero}`);
  }
  t.end();
});

const qemus = findQemus();
test(
  "a real QEMU loads what the maker makes",
  {
    skip: qemus.length === 0 && "no qemu-system-x86_64 here (apt-get install --no-install-recommends qemu-system-x86)",
  },
  async (t) => {
    const options = { ram: 16 << 20, zero: 0.3, run: 20, part: 1000 };
    const chunks: Uint8Array[] = [];
    makePlainStream(options, (chunk) => chunks.push(chunk.slice()), 100_000);
    for (const qemu of qemus) {
      const { vm, result } = await startDestination({
        qemu,
        args: ["-machine", "none", "-m", "16M"],
        stream: Buffer.concat(chunks),
      });
      try {
        t.equal(result.status, "completed", `QEMU ${qemu.version}: ${result.error}`);
        t.ok((await readPhysical(vm, 0, options.ram)).equals(memory(options)), "its memory is what was meant");
      } finally {
        await vm.close();
      }
    }
  },
);
