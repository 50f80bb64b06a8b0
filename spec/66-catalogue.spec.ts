import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliDecompressSync } from "node:zlib";
import test from "tape";
import { explainStream } from "../src/analyse/explain/index.js";
import { inspectSource } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import type { Warning } from "../src/bytes/errors.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { Catalogue, parseCatalogue } from "../src/codec/vmstate/catalogue/index.js";
import { openInput } from "../src/io/container/input.js";
import { loadCatalogue } from "../src/io/catalogue/load.js";
import { relay } from "../src/live/relay/index.js";
import type { SectionItem } from "../src/codec/stream/index.js";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { packFolder } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { corpusSamples, devicesOf, valuesOf } from "../tools/catalogue/streams.js";
import { measureSample, noTally, showTally } from "../tools/catalogue/tally.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { loads } from "./support/loads.js";
import { flatDocument } from "./support/document.js";
import { field, learnt, section, stream } from "./support/learnt.js";

/** A stream up to its VMDESCRIPTION. */
async function bare(bytes: Uint8Array): Promise<Uint8Array> {
  return bytes.subarray(0, (await devicesOf(bytes)).described);
}

/** The catalogue before the x86 captures of the corpus were learnt. */
function heldOut(): Catalogue {
  const file = join(projectRoot(), "spec/66-catalogue.held-out.br");
  return new Catalogue(parseCatalogue(brotliDecompressSync(readFileSync(file)).toString("latin1")));
}

test("captures of the corpus, which the catalogue was not learnt from, without their VMDESCRIPTION", async (t) => {
  const catalogue = heldOut();
  const tally = noTally();
  const wrong: string[] = [];
  for (const sample of corpusSamples()) {
    if (!sample.origin.startsWith("x86_64 ")) continue;
    await measureSample(sample, catalogue, tally, (text) => text.startsWith("wrong") && wrong.push(text));
  }
  for (const text of showTally(tally)) t.comment(text);
  t.deepEqual(wrong, [], "no wrong value is certain");
  const of = (key: "devices" | "bytes"): number =>
    tally.right[key] / (tally.right[key] + tally.uncertain[key] + tally.unknown[key]);
  t.ok(of("bytes") >= LEAST_BYTES, `${(100 * of("bytes")).toFixed(2)} % of the bytes`);
  t.ok(of("devices") >= LEAST_DEVICES, `${(100 * of("devices")).toFixed(2)} % of the devices`);
});
const LEAST_BYTES = 0.99;
const LEAST_DEVICES = 0.91;

for (const [name, least] of [
  ["pc-1.4", 20],
  ["suppress-vmdesc", 20],
] as const) {
  test(`${name}: device state that nothing describes is understood`, async (t) => {
    const bytes = await bare(corpusEntry(name).open());
    const without = await inspectSource(new MemorySource(bytes));
    t.ok(without.opaqueBytes > 0 && without.catalogue === null, `${without.opaqueBytes} bytes are opaque by itself`);
    const result = await verifyStream(new MemorySource(bytes, 1000), { catalogue: loadCatalogue, bufferSize: 4096 });
    t.ok(result.identical && result.complete, "written again from the fields");
    t.equal(result.opaqueBytes, 0, "nothing is opaque");
    const sum = result.inspection.catalogue;
    t.ok(
      sum !== null && sum.deviceCount >= least,
      `${sum?.deviceCount} devices, ${sum?.uncertainDeviceCount} uncertain`,
    );
    const registers = corpusEntry(name).truth.registers;
    const { devices } = await devicesOf(bytes, { catalogue: loadCatalogue });
    const cpu = JSON.parse(valuesOf(devices.find(({ idstr }) => idstr === "cpu")!.state!)) as {
      fields: Record<string, string>;
    };
    const eip = /EIP=([0-9a-f]{8})/u.exec(registers)?.[1];
    t.equal(BigInt(cpu.fields["env.eip"]!), BigInt(`0x${eip}`), "the CPU is where QEMU said");
  });
}

test("recordings that switched to postcopy have nothing opaque", async (t) => {
  for (const name of ["postcopy-7.2-recovered", "postcopy-10.0-preempt", "postcopy-11.1"]) {
    const input = await openInput(join(projectRoot(), "corpus", name));
    const { opaqueBytes, catalogue: sum } = await inspectSource(input, { catalogue: loadCatalogue });
    await input.close?.();
    t.deepEqual(
      [opaqueBytes, sum?.deviceCount],
      [0, 30],
      `${name}: ${sum?.uncertainBytes} of ${sum?.catalogueBytes} bytes uncertain`,
    );
  }
});

test("cut at 200 places in the device part: every whole device before the cut is decoded", async (t) => {
  const catalogue = heldOut();
  const described = corpusEntry("pc-never-run").open();
  const whole = await bare(described);
  const { devices } = await devicesOf(whole, { catalogue });
  const truth = (await devicesOf(described)).devices;
  const first = devices[0]!.offset;
  const failed: string[] = [];
  for (let i = 0; i < 200; i++) {
    const cut = first + 1 + Math.floor(((whole.length - first - 1) * i) / 200);
    const { devices: found } = await devicesOf(whole.subarray(0, cut), { catalogue });
    // A device is whole with its footer.
    const expected = devices.filter(({ offset, idstr, length }) => offset + 14 + idstr.length + length + 5 <= cut);
    const decoded = found.filter(({ state }) => state !== undefined);
    const same = expected.every(({ state }, at) => {
      const other = decoded[at]?.state;
      return state !== undefined && other !== undefined && valuesOf(other) === valuesOf(state);
    });
    if (!same || decoded.length > expected.length) failed.push(`${cut}: ${decoded.length} of ${expected.length}`);
  }
  t.deepEqual(failed, [], `${devices.length} devices`);
  const unlike = devices.filter(({ state, catalogue: mark }, at) => {
    return mark?.certain === true && valuesOf(state!) !== valuesOf(truth[at]!.state!);
  });
  t.deepEqual(unlike, [], "certain ones have the values of the description that was cut off");
});

test("cut inside the VMDESCRIPTION: all devices are decoded, and the stream is not complete", async (t) => {
  const whole = corpusEntry("pc-never-run").open();
  const { described, devices } = await devicesOf(whole, { catalogue: loadCatalogue });
  for (const more of [1, 5, 1000]) {
    const cut = whole.subarray(0, described! + more);
    const { inspection, complete, identical } = await verifyStream(new MemorySource(cut), { catalogue: loadCatalogue });
    t.deepEqual([identical, complete, inspection.complete], [true, false, false], `${more} bytes of it`);
    t.equal(inspection.catalogue?.deviceCount, devices.length, "its devices");
    const undecoded = inspection.undecoded.map(({ streamOffset, length }) => [streamOffset, length]);
    t.deepEqual(undecoded, [[described, more]], "only the rest of it is not understood");
    const { faults } = await explainStream(new MemorySource(cut), "", { catalogue: loadCatalogue });
    t.match(faults[0]?.error.what ?? "", /ends inside the VMDESCRIPTION/u, "explain says where it is cut");
  }
});

test("convert --add-vmdescription of devices that are not certain: refused by name, as bytes, or by layout", async (t) => {
  const entry = corpusEntry("pc-never-run");
  const whole = entry.open();
  const own = await devicesOf(whole);
  const cut = whole.subarray(0, own.described);
  const made = async (uncertainDevices: "bytes" | "layout" | undefined): Promise<[Uint8Array, readonly Warning[]]> => {
    const sink = new MemorySink();
    const options = { catalogue: loadCatalogue, addVmdescription: true, uncertainDevices };
    const { warnings } = await convertStream(new MemorySource(cut), sink, options, tmpdir());
    return [sink.bytes(), warnings];
  };
  const { devices } = await devicesOf(cut, { catalogue: loadCatalogue });
  const doubtful = devices.filter(({ catalogue: mark }) => mark?.certain === false);
  t.ok(
    doubtful.length > 0 && doubtful.length < devices.length,
    `${doubtful.length} of ${devices.length} are uncertain`,
  );
  const error = await refusal(() => made(undefined));
  t.equal(error?.code, "unsupported", "refused without a choice");
  for (const { idstr } of doubtful) t.ok(error?.what.includes(`${idstr}/0 (`), `${idstr} is named`);
  for (const how of ["bytes", "layout"] as const) {
    const [output, warnings] = await made(how);
    t.deepEqual(
      warnings.map(({ offset }) => offset),
      doubtful.map(({ offset }) => offset),
      `${how}: a warning for each`,
    );
    const { devices: found, opaque, described } = await devicesOf(output);
    t.deepEqual([opaque, described, found.length], [0, cut.length, devices.length], `${how}: it describes all devices`);
    const isBytes = (at: number): boolean => found[at]?.state?.description.size === devices[at]!.length;
    const differs = devices.flatMap(({ idstr, state, catalogue: mark }, at) => {
      if (how === "bytes" && mark?.certain === false) return isBytes(at) ? [] : [idstr];
      return valuesOf(found[at]!.state!) === valuesOf(state!) ? [] : [idstr];
    });
    t.deepEqual(differs, [], `${how}: the values are those of the catalogue`);
    if (how === "layout") await loads(t, entry, output, "with the description");
  }
});

test("unpacked, packed and described by the catalogue", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-catalogue-"));
  try {
    const bytes = corpusEntry("suppress-vmdesc").open();
    await unpackStream(bytes, join(folder, "dir"), { catalogue: loadCatalogue });
    await packFolder(join(folder, "dir"), join(folder, "again.mig"));
    const again = readFileSync(join(folder, "again.mig"));
    t.ok(again.equals(bytes), "the same bytes from the folder");
    const catalogue = learnt(["dev", "x86_64 1.0", [field("x", "uint32", 4)]]);
    const small = stream(section(1, "dev", "00010002"));
    const sink = new MemorySink();
    await convertStream(new MemorySource(small), sink, { catalogue, addVmdescription: true }, folder);
    const own = await devicesOf(sink.bytes());
    t.equal(own.described, small.length, "the output describes itself");
    t.equal(valuesOf(own.devices[0]!.state!), '{"fields":{"x":65538},"subsections":{}}', "as the catalogue says");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a relay sees devices that nothing describes while they pass, and may change them", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-catalogue-"));
  try {
    const bytes = corpusEntry("suppress-vmdesc").open();
    const [from, to] = [join(folder, "from.mig"), join(folder, "to.mig")];
    writeFileSync(from, bytes);
    const seen: string[] = [];
    const onDevice = (item: SectionItem): void => {
      if (item.content.kind !== "device") return;
      seen.push(item.idstr);
      const { fields } = item.content.state;
      if (item.idstr === "timer") fields["cpu_clock_offset"] = (fields["cpu_clock_offset"] as bigint) + 1n;
    };
    await relay(`exec:cat ${from}`, `exec:cat > ${to}`, { convert: { catalogue: loadCatalogue, onDevice } });
    const { devices } = await devicesOf(bytes, { catalogue: loadCatalogue });
    t.deepEqual(
      seen,
      devices.map(({ idstr }) => idstr),
      `${seen.length} devices`,
    );
    const passed = readFileSync(to);
    const differs = [...bytes.keys()].filter((at) => bytes[at] !== passed[at]);
    const { offset, idstr, length } = devices.find((device) => device.idstr === "timer")!;
    const start = offset + 14 + idstr.length;
    t.ok(passed.length === bytes.length && differs.length > 0, "one value is changed");
    t.ok(
      differs.every((at) => at >= start && at < start + length),
      "and nothing else",
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("on the command line", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-catalogue-"));
  const before = process.env["XDG_DATA_HOME"];
  process.env["XDG_DATA_HOME"] = folder;
  try {
    const file = join(folder, "bare.mig");
    writeFileSync(file, corpusEntry("suppress-vmdesc").open());
    const shown = flatDocument((await qevm(["inspect", file, "--json"])).stdout) as {
      opaqueBytes: number;
      catalogue: { deviceCount: number };
      sections: { describedBy?: string }[];
    };
    t.equal(shown.opaqueBytes, 0, "inspect: nothing is opaque");
    t.ok(
      shown.sections.some(({ describedBy }) => describedBy?.startsWith("catalogue x86_64 ")),
      "a section says whose layout",
    );
    t.match((await qevm(["inspect", file])).stdout, /Read by the catalogue: \d+ devices/u, "as text");
    const verified = await qevm(["verify", file]);
    t.match(verified.stdout, /understood: every byte but \d+ bytes, uncertain/u, "verify says it");
    const cause = await qevm(["explain", file, "Missing section footer for ps2kbd"]);
    t.match(cause.stdout.replaceAll(/\s+/gu, " "), /as long as the catalogue x86_64 [^:]* has them/u, "explain, too");
    const none = flatDocument((await qevm(["inspect", file, "--schema", "none", "--json"])).stdout) as typeof shown;
    t.ok(none.opaqueBytes > 0 && none.catalogue === null, "--schema none");
    t.match((await qevm(["devices", file])).stdout, /timer\/0.*catalogue x86_64/u, "devices marks them");
    const lender = join(folder, "lender.mig");
    writeFileSync(lender, corpusEntry("machine-none").open());
    const learning = await qevm(["catalogue", "learn", lender, "--origin", "x86_64 6.2"]);
    t.match(learning.stdout, /devices, as "x86_64 6\.2"/u, learning.stderr);
    const listed = await qevm(["catalogue", "list", "timer"]);
    t.match(listed.stdout, /timer .*x86_64 6\.2/u, "the own one is listed");
    t.equal((await qevm(["catalogue", "learn", file])).code, 1, "nothing to learn from");
    t.equal((await qevm(["catalogue"])).code, 2, "no action");
  } finally {
    if (before === undefined) delete process.env["XDG_DATA_HOME"];
    else process.env["XDG_DATA_HOME"] = before;
    rmSync(folder, { recursive: true, force: true });
  }
});
