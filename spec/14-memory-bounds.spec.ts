import test from "tape";
import { qevmOnMade } from "./support/made-stream.js";
import { flatDocument } from "./support/document.js";

/** Pipes a stream of so much RAM into `qevm inspect -`. Returns what was sent and what was reported. */
async function inspectMade(
  ram: string,
): Promise<{ sent: string; seen: Inspected; maxRss: number; code: number | null }> {
  const { code, stdout, maxRss, sent } = await qevmOnMade(ram, ["inspect", "-", "--json"]);
  return { sent, seen: flatDocument(stdout) as Inspected, maxRss, code };
}

interface Inspected {
  machine: string;
  complete: boolean;
  ram: { blocks: { block: string; blockLength: number }[]; pages: { normal: number; zero: number } };
  streamLength: number;
  opaqueBytes: number;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

test("16 GiB of RAM generated on the fly and piped in", async (t) => {
  const small = await inspectMade("4G");
  const large = await inspectMade("16G");
  const { normal, zero } = large.seen.ram.pages;
  t.equal(`${normal} normal, ${zero} zero`, large.sent, "every page that was sent is counted");
  t.equal(normal + zero, (16 * 1024 ** 3) / 4096);
  t.deepEqual(
    large.seen.ram.blocks.map(({ block, blockLength }) => [block, blockLength]),
    [["ram", 16 * 1024 ** 3]],
  );
  t.equal(large.seen.machine, "none");
  t.equal(large.seen.complete, true);
  t.equal(large.seen.opaqueBytes, 0);
  t.ok(large.maxRss < 105e6, `memory of its own ${megabytes(large.maxRss)} is under 105 MB`);
  t.ok(
    large.maxRss < small.maxRss + 10e6,
    `4 GiB took ${megabytes(small.maxRss)}, 16 GiB took ${megabytes(large.maxRss)}`,
  );
});

test("verify of a pipe keeps the guest's memory in files: 4 GiB, 130 MB of it data", async (t) => {
  const { stdout, maxRss } = await qevmOnMade("4G", ["verify", "-", "--json"]);
  t.equal((flatDocument(stdout) as { identical: boolean }).identical, true);
  t.ok(maxRss < 115e6, `memory of its own ${megabytes(maxRss)} is under 115 MB`);
});
