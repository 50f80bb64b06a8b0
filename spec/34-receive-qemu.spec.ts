import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { dirtyFirmware, direct } from "../tools/capture/entries/parts.js";
import { takeTruth, type Truth } from "../tools/capture/truth.js";
import { compare, startDestination } from "../tools/destination/index.js";
import { still, type Recipe } from "../tools/recording/machines.js";
import { migrateTo, startSource } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";
import { receiving } from "./support/receiving.js";

/** SHA-256 of every block, as `extract` finds it in a recording. */
async function extracted(recording: string, out: string): Promise<Truth["blocks"]> {
  const run = await qevm(["extract", recording, "--out", out, "--format", "blocks", "--json"]);
  const { blocks } = JSON.parse(run.stdout) as { blocks: { name: string; file: string; length: number }[] };
  return blocks.map(({ name, file, length }) => {
    const sha256 = createHash("sha256")
      .update(readFileSync(join(out, file)))
      .digest("hex");
    return { name, length, sha256, how: "extract" };
  });
}

const LIVE = { args: direct("pc"), files: { "bios.img": dirtyFirmware.content() }, rounds: 3 };

const LIVE_CASES: readonly [string, number, boolean, Pick<Recipe, "args" | "files" | "rounds">][] = [
  ["plain", 0, true, still()],
  ["none", 2, true, LIVE],
  ["zlib", 8, true, LIVE],
  ["zstd", 2, false, still()],
  ["zlib", 2, false, still()],
  ["zstd", 8, true, still()],
];

for (const [method, channels, back, machine] of LIVE_CASES) {
  const kind = method === "plain" ? "plain" : `multifd ${method}, ${channels} channels`;
  const what = `${kind}, ${back ? "return path" : "one way"}, ${"rounds" in machine ? "live" : "still"}`;
  test(`a real 7.2 migrates to it: ${what}`, async (t) => {
    const qemu = qemuOf(t, "7.2");
    if (qemu === undefined) return;
    const multifd = method !== "plain";
    const recipe = {
      ...machine,
      capabilities: [...(multifd ? ["multifd"] : []), ...(back ? ["return-path"] : [])],
      parameters: multifd ? { "multifd-channels": channels, "multifd-compression": method } : {},
    };
    await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
      const vm = await startSource(qemu, recipe);
      let truth: Omit<Truth, "destination">;
      try {
        await migrateTo(vm, uri, recipe);
        t.pass("the source says completed");
        truth = await takeTruth(vm, null);
      } finally {
        await vm.close();
      }
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      const report = JSON.parse(stdout) as { channels: { role: string }[]; returnPath: boolean };
      t.equal(report.returnPath, back);
      t.equal(report.channels.filter(({ role }) => role === "multifd").length, channels);
      const verified = await qevm(["verify", join(folder, "rec"), "--json"]);
      const { identical, opaqueBytes } = JSON.parse(verified.stdout) as { identical: boolean; opaqueBytes: number };
      t.deepEqual([identical, opaqueBytes], [true, 0]);
      const plain = join(folder, "plain");
      t.equal((await qevm(["convert", join(folder, "rec"), "--out", plain, "--to", "stream"])).code, 0);
      const loaded = await startDestination({ qemu, args: recipe.args, files: recipe.files, stream: plain });
      try {
        t.equal(loaded.result.status, "completed", loaded.result.error);
        const told = await extracted(join(folder, "rec"), join(folder, "blocks"));
        const written = await compare(loaded.vm, { blocks: told, pmemsave: [], registers: "" });
        t.deepEqual(written.differentBlocks, [], `${written.equalBlocks.length} blocks as they were written down`);
        const { differentBlocks, equalBlocks } = await compare(loaded.vm, truth);
        // 7.2 under TCG may leave a page of a running guest dirty behind its own back.
        t.ok(differentBlocks.length <= ("rounds" in machine ? 1 : 0), `${equalBlocks.length} blocks as in the source`);
      } finally {
        await loaded.vm.close();
      }
    });
  });
}
