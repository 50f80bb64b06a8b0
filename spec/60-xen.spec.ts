import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { inspectSource } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { IterableSource, MemorySource } from "../src/bytes/index.js";
import { loadCatalogue } from "../src/io/catalogue/load.js";
import { openContainers } from "../src/io/container/index.js";
import { projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { deviceModelRecord, libvirtXenSave, libxlStream, xlSave } from "./support/xen-save.js";

const catalogue = loadCatalogue;

/** What QEMU's `xen-save-devices-state` wrote. */
function saved(version: string): Buffer {
  return gunzipSync(readFileSync(join(projectRoot(), "spec/support", `xen-${version}.gz`)));
}

for (const version of ["5.2", "7.2", "10.0", "11.1"]) {
  test(`xen-save-devices-state of QEMU ${version}: nothing is opaque`, async (t) => {
    const bytes = saved(version);
    const { identical, complete, opaqueBytes, inspection } = await verifyStream(new MemorySource(bytes), { catalogue });
    t.ok(identical && complete, "written again from the fields");
    t.equal(opaqueBytes, 0, "opaque");
    t.ok(
      (inspection.catalogue?.deviceCount ?? 0) >= 30,
      `${inspection.catalogue?.deviceCount} devices by the catalogue`,
    );
    const { uncertainBytes: uncertain = Infinity, catalogueBytes: all = 0 } = inspection.catalogue ?? {};
    t.ok(uncertain <= 0.01 * all, `${uncertain} of ${all} bytes are uncertain`);
  });
}

test("Xen's save files around it", async (t) => {
  const state = saved("7.2");
  for (const [format, bytes] of [
    ["xl", xlSave(state)],
    ["libvirt", libvirtXenSave(state)],
    ["libxl", libxlStream(state)],
    ["record", deviceModelRecord(state)],
  ] as const) {
    for (const [way, source] of [
      ["file", new MemorySource(bytes)],
      ["pipe", new IterableSource([bytes.subarray(0, 50), bytes.subarray(50)])],
    ] as const) {
      const input = await openContainers(source);
      const [container, ...more] = input.containers;
      if (container?.kind !== "xen") return t.end(`${format} by ${way}: no Xen container`);
      t.deepEqual([container.format, more.length], [format, 0], `${format} by ${way}`);
      const { streamLength, opaqueBytes, trailingBytes, sections } = await inspectSource(input, { catalogue });
      t.deepEqual([streamLength, opaqueBytes, trailingBytes], [state.length, 0, 0], "the stream, and nothing after it");
      t.equal(sections[0]?.streamOffset, bytes.indexOf("QEVM") + 8, "offsets of the file");
      if (format === "record") continue;
      t.deepEqual(container.domain, { type: "x86 HVM", pageSize: 4096, xen: "4.17" }, "the domain");
      const pages = container.records.find(({ name }) => name === "PAGE_DATA");
      const first = bytes.indexOf("XENF") + 32;
      t.deepEqual(pages, { name: "PAGE_DATA", offset: first + 8, count: 2, bytes: 2 * (16 + 4096) }, "memory pages");
      t.deepEqual(
        container.records.map(({ name }) => name),
        "LIBXC_CONTEXT STATIC_DATA_END PAGE_DATA HVM_PARAMS HVM_CONTEXT END EMULATOR_XENSTORE_DATA EMULATOR_CONTEXT".split(
          " ",
        ),
        "records by name",
      );
    }
  }
  const nested = await openContainers(new MemorySource(libxlStream(deviceModelRecord(state))));
  t.equal((await inspectSource(nested, { catalogue })).streamLength, state.length, "a record in a libxl stream");
});

test("what is wrong in a Xen save is said with its address", async (t) => {
  const good = xlSave(saved("7.2"));
  const at = good.indexOf("LibxlFmt");
  const cases: [string, number, string, (bytes: Buffer) => Buffer][] = [
    ["another byte order word", 32, "bad-value", (bytes) => (bytes.writeUInt32LE(5, 32), bytes)],
    ["a stream before Xen 4.6", 36, "unsupported", (bytes) => (bytes.writeUInt32LE(1, 36), bytes)],
    ["another version", at + 8, "unsupported", (bytes) => (bytes.writeUInt32BE(3, at + 8), bytes)],
    ["an unknown record", at + 16, "bad-value", (bytes) => (bytes.writeUInt32LE(9, at + 16), bytes)],
    ["another magic", at, "bad-magic", (bytes) => (bytes.write("libxlfmt", at), bytes)],
    ["the end inside the second page", at + 4200, "truncated", (bytes) => bytes.subarray(0, at + 5000)],
  ];
  for (const [what, offset, code, damage] of cases) {
    const bytes = damage(Buffer.from(good));
    const error = await refusal(async () => await openContainers(new MemorySource(bytes)));
    t.deepEqual([error?.code, error?.offset], [code, offset], `${what}: ${error?.message}`);
  }
  const none = await refusal(async () => await openContainers(new MemorySource(libxlStream(undefined))));
  t.match(none?.message ?? "", /the guest had no QEMU/u, "a PV guest");
});
