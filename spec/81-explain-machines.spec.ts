/** Machine types by other names: what a distribution's name stands for, and that a renamed stream loads. */
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { readFileSync } from "node:fs";
import test from "tape";
import { MACHINE_ALIASES, machineFamily, machineRelease, upstreamMachine } from "../src/guest/machines/index.js";
import { explainStream, MemorySource } from "../src/index.js";
import { projectRoot } from "../tools/corpus.js";
import { run } from "./support/cures.js";
import { qemuOf } from "./support/loads.js";
import { refuse } from "./support/refused.js";

const BIONIC = gunzipSync(readFileSync(join(projectRoot(), "corpus", "field", "machine-bionic.bin")));

const explainBionic = async (text: string, containers: string[] = []): ReturnType<typeof explainStream> =>
  await explainStream(new MemorySource(BIONIC), text, { containers });

const received = (local: string): string => `Machine type received is 'pc-i440fx-bionic' and local is '${local}'`;

/** Ubuntu: debian/patches/ubuntu/define-ubuntu-machine-types.patch. RHEL: qemu-kvm's hw/core/machine.c. */
const NAMES: readonly (readonly [name: string, upstream: string | undefined, release: string | undefined])[] = [
  ["pc-i440fx-7.2", "pc-i440fx-7.2", "7.2"],
  ["pc-q35-4.0.1", "pc-q35-4.0.1", "4.1"],
  ["pc-1.3", "pc-1.3", "1.3"],
  ["pseries-2.12-sxxm", "pseries-2.12-sxxm", "2.12"],
  ["pc-i440fx-trusty", "pc-i440fx-2.0", "2.0"],
  ["pc-i440fx-wily", "pc-i440fx-2.4", "2.4"],
  ["pc-q35-xenial", "pc-q35-2.5", "2.5"],
  ["pc-i440fx-bionic-hpb", "pc-i440fx-2.11", "2.11"],
  ["pc-q35-cosmic", "pc-q35-2.11", "2.11"],
  ["pc-i440fx-cosmic", "pc-i440fx-2.12", "2.12"],
  ["pc-i440fx-focal", "pc-i440fx-4.0", "4.0"],
  ["pc-q35-focal", "pc-q35-4.2", "4.2"],
  ["s390-ccw-virtio-eoan", "s390-ccw-virtio-3.1", "3.1"],
  ["pseries-kinetic", "pseries-6.2", "6.2"],
  ["pc-i440fx-hirsute-hpb", "pc-i440fx-5.1", "5.1"],
  ["pc-q35-jammy", "pc-q35-6.2", "6.2"],
  ["pc-i440fx-noble-v2", "pc-i440fx-8.2", "8.2"],
  ["pc-1.0-precise", "pc-1.0", "1.0"],
  ["pc-i440fx-rhel7.6.0", "pc-i440fx-2.12", "2.12"],
  ["pc-q35-rhel8.6.0", "pc-q35-6.2", "6.2"],
  ["pc-q35-rhel9.4.0", "pc-q35-8.2", "8.2"],
  ["virt-rhel9.2.0", "virt-7.2", "7.2"],
  ["pseries-rhel8.2.0", "pseries-4.2", "4.2"],
  ["s390-ccw-virtio-rhel8.5.0", "s390-ccw-virtio-6.0", "6.0"],
  ["pc-i440fx-8.1+pve0", "pc-i440fx-8.1", "8.1"],
  ["pc-q35-9.2+pve1", "pc-q35-9.2", "9.2"],
  ["pc-i440fx-2.11-sp1", "pc-i440fx-2.11", "2.11"],
  ["pc", undefined, undefined],
  ["none", undefined, undefined],
  ["pc-i440fx-nosuch", undefined, undefined],
  ["microvm", undefined, undefined],
];

test("what a machine type's name stands for", (t) => {
  for (const [name, upstream, release] of NAMES) {
    t.equal(upstreamMachine(name)?.name, upstream, name);
    t.equal(machineRelease(name), release, `${name}: release`);
  }
  t.equal(machineFamily("pc-q35-rhel9.4.0"), "pc-q35");
  t.equal(machineFamily("q35"), "pc-q35");
  t.equal(machineFamily("ubuntu"), "pc-i440fx");
  t.ok(
    MACHINE_ALIASES.every(({ source }) => source.length > 10),
    `${MACHINE_ALIASES.length} rows, each with its source`,
  );
  t.end();
});

test("the same machine by another name: rename it; another version: say so; another machine: no", async (t) => {
  const same = (await explainBionic(received("pc-i440fx-2.11"))).findings[0]!;
  t.match(same.why.join(" "), /"pc-i440fx-bionic" is Ubuntu's name of pc-i440fx-2\.11/u);
  t.deepEqual(same.remedies.at(-1)?.command?.slice(-2), ["--machine", "pc-i440fx-2.11"]);
  const other = (await explainBionic(received("pc-i440fx-5.2"))).findings[0]!;
  t.match(other.why.join(" "), /another version of the same machine/u);
  t.deepEqual(
    other.remedies.map(({ command }) => command?.at(-1)),
    [undefined, "pc-i440fx-2.11", "pc-i440fx-5.2"],
  );
  const q35 = (await explainBionic(received("pc-q35-2.11"))).findings[0]!;
  t.match(q35.why.join(" "), /another machine altogether/u);
  t.notOk(q35.remedies.some(({ command }) => command !== undefined));
  const none = (await explainBionic(`unsupported machine type: "pc-i440fx-bionic"`)).findings[0]!;
  t.deepEqual(none.remedies[0]?.command?.slice(-2), ["--machine", "pc-i440fx-2.11"], "a QEMU without that name");
  const { versions, notes } = await explainBionic("");
  t.deepEqual(
    [versions.firstRelease, versions.lastRelease],
    ["2.11", "10.0"],
    "the releases are those of the upstream machine",
  );
  t.ok(
    notes.some((note) => note.includes("pc-i440fx-2.11")),
    "and the note says its name",
  );
});

test("QEMU 7.2 loads a stream of Ubuntu's pc-i440fx-bionic when it is renamed", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const files = { bios: Buffer.alloc(65_536) };
  const args = ["-machine", "pc-i440fx-2.11", "-m", "1M", "-nodefaults", "-bios", "$DIR/bios"];
  const before = await refuse(qemu, { args, files, stream: BIONIC });
  const { findings } = await explainBionic(before.text);
  const remedy = findings[0]?.remedies.find(({ command }) => command !== undefined);
  const { made, stderr } = await run(remedy ?? { what: "" }, BIONIC);
  const after = await refuse(qemu, { args, files, stream: made });
  t.deepEqual([before.loaded, after.loaded], [false, true], `${remedy?.command?.join(" ")} ${stderr} ${after.text}`);
});
