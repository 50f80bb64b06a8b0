import { gzipSync } from "node:zlib";
import test from "tape";
import { explainStream, MemorySource, type Explanation, type Remedy } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { breakages } from "../tools/destination/index.js";
import type { QemuBinary } from "../tools/qemu/find.js";
import { merged, run, setBy, withOwnThings } from "./support/cures.js";
import { qemuOf } from "./support/loads.js";
import { inParallel } from "./support/parallel.js";
import type { Refused } from "./support/refused-case.js";
import { REFUSED, refuse, streamOf } from "./support/refused.js";

const remediesOf = ({ findings }: Explanation): Remedy[] => findings.flatMap(({ remedies }) => remedies);

/** Loads with what the remedy changes. */
async function cure(
  qemu: QemuBinary,
  one: Refused,
  stream: Buffer,
  explained: Explanation,
): Promise<{ loaded: boolean; text: string }> {
  const { args, capabilities = [], files = {}, cured } = one;
  if (cured === "destination") {
    const { destination } = explained;
    const own = withOwnThings(destination.arguments, explained);
    return await refuse(qemu, { ...own, capabilities: destination.capabilities, stream });
  }
  if (cured === "monitor") {
    const monitor = remediesOf(explained).find((remedy) => remedy.monitor !== undefined)?.monitor ?? [];
    return await refuse(qemu, { args, files, capabilities: setBy(monitor, capabilities), stream });
  }
  if (cured === "command") {
    const remedy = remediesOf(explained).find(({ command }) => command?.[1] === "convert");
    if (remedy === undefined) return { loaded: false, text: "no command proposed" };
    const { made, stderr } = await run(remedy, stream);
    if (made.length === 0) return { loaded: false, text: stderr };
    return await refuse(qemu, { args, files, capabilities, stream: made });
  }
  const added = explained.findings[0]?.remedies.flatMap((remedy) => remedy.arguments ?? []) ?? [];
  const own = withOwnThings(merged(args, added), explained);
  return await refuse(qemu, { args: own.args, files: { ...files, ...own.files }, capabilities, stream });
}

for (const version of ["7.2", "10.0", "11.1"])
  test(`QEMU ${version} loads it when what explain proposes is done`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const curable = REFUSED.filter(({ cured }) => cured !== undefined);
    t.ok(curable.length >= 15, `${curable.length} remedies`);
    await inParallel(2, curable, async (one) => {
      const stream = streamOf(one);
      const { args, capabilities = [], files = {} } = one;
      const before = await refuse(qemu, { args, capabilities, files, stream }, one.send);
      const explained = await explainStream(new MemorySource(stream), before.text);
      const after = await cure(qemu, one, stream, explained);
      const never = one.never?.[version];
      if (never !== undefined) {
        t.match(after.text, never, `${one.name}: and then this version refuses it for another reason`);
        const then = await explainStream(new MemorySource(stream), after.text);
        t.ok(
          then.findings[0]?.why.some((why) => why.startsWith("seen:")),
          `${one.name}: which is known`,
        );
        return;
      }
      t.deepEqual(
        [before.loaded, after.loaded],
        [false, true],
        `${one.name}: ${one.cured} ${after.text.split("\n")[0]}`,
      );
    });
  });

/** Captures whose destination follows from the stream alone, but for disks, backends and firmware of the user's own. */
const WHOLE = [
  "pc-firmware",
  "q35-firmware",
  "q35-common-devices",
  "q35-virtio",
  "q35-displays",
  "pc-vmware-svga",
  "pc-2.3",
  "pc-1.4",
  "configuration-off",
  "footers-off",
  "microvm-firmware",
  "live-q35",
  "ignore-shared",
  "backend-3.1",
  "compress-live",
  "xbzrle",
  "suppress-vmdesc",
  "validate-uuid",
  "machine-none",
];

test("QEMU 7.2 with the arguments that explain reads out of a stream loads it", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  await inParallel(2, WHOLE, async (name) => {
    const entry = corpusEntry(name);
    const stream = entry.open();
    const explained = await explainStream(new MemorySource(stream));
    const { destination } = explained;
    const own = withOwnThings(destination.arguments, explained, entry.capture.machine);
    const { loaded, text } = await refuse(qemu, { ...own, capabilities: destination.capabilities, stream });
    t.ok(loaded, `${name}: ${destination.devices.length} devices ${text.split("\n")[0]}`);
  });
});

test("a stream inside a container is taken out of it, and loads", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const stream = corpusEntry("pc-never-run").open();
  const args = ["-machine", "pc", "-m", "8", "-nodefaults", "-vga", "none"];
  const packed = gzipSync(stream);
  const before = await refuse(qemu, { args, stream: packed });
  const explained = await explainStream(new MemorySource(stream), before.text, { containers: ["gzip"] });
  t.equal(explained.findings[0]?.cause, "not-a-stream", before.text);
  const [remedy] = remediesOf(explained);
  const { made, stderr } = await run(remedy!, packed);
  t.ok(made.equals(stream), `the bare stream ${stderr}`);
  t.ok((await refuse(qemu, { args, stream: made })).loaded, "it loads");
});

for (const [version, source, name] of [
  ["7.2", "machine-none-tiny", "postcopy without its capability"],
  ["10.0", "v10.0-none", "fill byte other than zero"],
] as const) {
  test(`${name}: the command that explain proposes makes a stream that QEMU ${version} loads`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const entry = corpusEntry(source);
    const args = entry.capture.command.slice(entry.capture.command.indexOf("-machine"));
    const stream = breakages.find((breakage) => breakage.name === name)!.apply(entry.open());
    const before = await refuse(qemu, { args, stream });
    const explained = await explainStream(new MemorySource(stream), before.text);
    const remedy = explained.findings[0]?.remedies.find(({ command }) => command !== undefined);
    const { made, stderr } = await run(remedy!, stream);
    const after = await refuse(qemu, { args, stream: made });
    t.deepEqual([before.loaded, after.loaded], [false, true], `${remedy!.command!.join(" ")} ${stderr}${after.text}`);
  });
}
