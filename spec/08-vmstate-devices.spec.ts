import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { QemuFileReader } from "../src/bytes/index.js";
import {
  decodeDevice,
  deviceFromPlain,
  deviceToPlain,
  encodeDevice,
  isStructState,
  parseVmDescription,
  type DeviceDescription,
  type DeviceState,
  type FieldValue,
} from "../src/codec/vmstate/index.js";
import { projectRoot } from "../tools/corpus.js";
import { fromHex, toHex } from "./support/bytes.js";
import { written } from "./support/devices.js";

/**
 * Payloads of single devices that the corpus (x86) does not have, taken from real streams: who wrote them with which
 * command, the device's own part of the VMDESCRIPTION, and the bytes ([n] for n zero bytes, <n> for n bytes 0x30).
 */
interface Fixture {
  qemu: string;
  command: string;
  device: string;
  description: string;
  payload: string;
}

const fixtures = JSON.parse(readFileSync(join(projectRoot(), "spec", "08-vmstate.devices.json"), "utf8")) as Fixture[];

function bytesOf(fixture: Fixture): Uint8Array {
  return fromHex(
    fixture.payload
      .replaceAll(/\[(\d+)\]/gu, (_, count: string) => "00".repeat(Number(count)))
      .replaceAll(/<(\d+)>/gu, (_, count: string) => "30".repeat(Number(count))),
  );
}

function decoded(fixture: Fixture): { description: DeviceDescription; bytes: Uint8Array; state: DeviceState } {
  const bytes = bytesOf(fixture);
  const { devices } = parseVmDescription(fixture.description);
  const description = devices[0]!;
  const endsAt = (at: number): boolean => at === bytes.length;
  return { description, bytes, state: decodeDevice(QemuFileReader.over(bytes), description, { endsAt }) };
}

test("rare kinds of fields from real devices are reproduced from their fields and the plain form", (t) => {
  for (const fixture of fixtures) {
    const { description, bytes, state } = decoded(fixture);
    const what = `QEMU ${fixture.qemu} ${fixture.device}`;
    const back = written((writer) => {
      encodeDevice(writer, state);
    });
    t.ok(toHex(back) === toHex(bytes), `${what}: ${bytes.length} bytes`);
    const person = JSON.parse(JSON.stringify(deviceToPlain(state))) as unknown;
    const edited = written((writer) => {
      encodeDevice(writer, deviceFromPlain(description, person));
    });
    t.ok(toHex(edited) === toHex(bytes), `${what}: by the plain form`);
  }
  t.end();
});

test("the s390 channel subsystem: 256 pointers, one of them not NULL, as four versions describe them", (t) => {
  const versions = fixtures.filter(({ device }) => device === "s390_css");
  t.deepEqual(
    versions.map(({ qemu }) => qemu),
    ["5.2.0", "7.2.22", "10.0.13", "11.1.3"],
    "versions",
  );
  for (const fixture of versions) {
    const css = decoded(fixture).state.fields["css"] as FieldValue[];
    const present = css.flatMap((value, index) => (value === null ? [] : [index]));
    t.deepEqual([css.length, present], [256, [254]], `${fixture.qemu}: NULL but for 254, the default image`);
    const image = css[254]!;
    t.ok(isStructState(image) && (image.fields["chpids"] as FieldValue[]).length === 256, `${fixture.qemu}: 256 paths`);
  }
  t.end();
});

/** The plain fields of one fixture. */
function find(device: string, qemu: string): Record<string, unknown> {
  const fixture = fixtures.find((item) => item.device.endsWith(device) && item.qemu === qemu)!;
  return deviceToPlain(decoded(fixture).state).fields;
}

test("values that the command line determines", (t) => {
  const mem = (find("virtio-mem", "7.2.22")["virtio"] as Record<string, Record<string, unknown>>)["device"]!;
  t.equal(mem["requested_size"], "0x2000000", "virtio-mem: requested-size=32M");
  t.equal(mem["size"], "0x0", "virtio-mem: the guest never ran, so nothing is plugged");
  const gpu = find("virtio-gpu", "7.2.22")["virtio-gpu"] as Record<string, unknown>;
  t.equal(gpu["max_outputs"], 3, "virtio-gpu: max_outputs=3");
  t.equal(
    typeof find("virtio-gpu", "11.1.3")["virtio-gpu"],
    "string",
    "virtio-gpu of 11.1 with stray fields: named bytes",
  );
  const iommu = find("virtio-iommu", "11.1.3")["virtio"] as Record<string, Record<string, unknown>>;
  t.equal((iommu["pci"]!["config"] as Record<string, unknown>)["device_id"], 0x1040 + 23, "virtio-iommu: PCI number");
  t.end();
});
