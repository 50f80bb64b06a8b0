import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import test from "tape";
import { plainEnvironment, qevm } from "./support/program.js";

const MAKER = fileURLToPath(new URL("../tools/make-stream.js", import.meta.url));

/** Pipes a stream of so much RAM into `qevm inspect -`; answers what was sent and what was seen. */
async function inspectMade(
  ram: string,
): Promise<{ sent: string; seen: Inspected; maxRss: number; code: number | null }> {
  const maker = spawn(process.execPath, [MAKER, "--ram", ram, "--zero", "0.97"], {
    stdio: ["ignore", "pipe", "pipe"],
    env: plainEnvironment(),
  });
  let sent = "";
  maker.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    sent += chunk;
  });
  const made = new Promise<void>((resolve) => {
    maker.on("close", () => resolve());
  });
  const { code, stdout, stderr, maxRss } = await qevm(["inspect", "-", "--json"], { plain: true, stdin: maker.stdout });
  await made;
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return { sent: sent.trim(), seen: JSON.parse(stdout) as Inspected, maxRss, code };
}

interface Inspected {
  machine: string;
  complete: boolean;
  ram: { blocks: { name: string; length: number }[]; pages: { normal: number; zero: number } };
  bytes: { total: number; opaque: number };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

test("16 GiB of RAM made on the fly and piped in", async (t) => {
  const small = await inspectMade("4G");
  const large = await inspectMade("16G");
  const { normal, zero } = large.seen.ram.pages;
  t.equal(`${normal} normal, ${zero} zero`, large.sent, "every page that was sent is counted");
  t.equal(normal + zero, (16 * 1024 ** 3) / 4096);
  t.deepEqual(
    large.seen.ram.blocks.map(({ name, length }) => [name, length]),
    [["ram", 16 * 1024 ** 3]],
  );
  t.equal(large.seen.machine, "none");
  t.equal(large.seen.complete, true);
  t.equal(large.seen.bytes.opaque, 0);
  t.ok(large.maxRss < 150e6, `resident memory ${megabytes(large.maxRss)} is under 150 MB`);
  t.ok(
    large.maxRss < small.maxRss + 10e6,
    `4 GiB took ${megabytes(small.maxRss)}, 16 GiB took ${megabytes(large.maxRss)}`,
  );
});
