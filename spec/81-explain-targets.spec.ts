import { join } from "node:path";
import test from "tape";
import { qevm } from "./support/program.js";
import { registerName } from "../src/analyse/explain/causes/cpreg.js";
import { transportPlace } from "../src/analyse/explain/device-places.js";
import { pcOptions } from "../src/analyse/explain/pc-options.js";
import { destinationFor } from "../src/analyse/explain/destination.js";
import { surveyStream, type Survey } from "../src/analyse/explain/survey.js";
import { pseries } from "../src/analyse/explain/targets/pseries.js";
import { onMmio } from "../src/analyse/explain/targets/place.js";
import { explainStream, MemorySource, type Explanation } from "../src/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { tryLine } from "../tools/advice/targets.js";
import { targetLines } from "../tools/advice/target-lines.js";
import { findQemu } from "../tools/qemu/find.js";
import { flatDocument } from "./support/document.js";

const field = (name: string): string => join(projectRoot(), "corpus", "field", name);

async function explained(name: string, ...text: string[]): Promise<Explanation> {
  return flatDocument((await qevm(["explain", "--json", field(name), ...text])).stdout) as Explanation;
}

/** The words after each `option`. */
function given(args: readonly string[], option: string): string[] {
  return args.filter((_, i) => args[i - 1] === option);
}

const EXPECTED: Readonly<Record<string, { machine: string; devices: string[]; more?: string[] }>> = {
  "target-aarch64-mmio.bin": {
    machine: "virt-7.2,gic-version=2",
    more: ["-cpu cortex-a57", "-global virtio-mmio.force-legacy=false", "-m 32M"],
    devices: [
      "virtio-blk-device,bus=virtio-mmio-bus.3,num-queues=1,drive=DRIVE0",
      "virtio-scsi-device,id=mmio-31,bus=virtio-mmio-bus.31,num_queues=1",
      "virtio-serial-device,bus=virtio-mmio-bus.30",
      "virtio-balloon-device,bus=virtio-mmio-bus.29",
      "virtio-gpu-device,bus=virtio-mmio-bus.28",
      "virtio-keyboard-device,bus=virtio-mmio-bus.27",
      "virtio-keyboard-device,bus=virtio-mmio-bus.26",
    ],
  },
  "target-aarch64-smmuv3.bin": { machine: "virt-7.2,gic-version=3,iommu=smmuv3", devices: [] },
  "target-riscv64-aia.bin": { machine: "virt,aia=aplic-imsic", more: ["-smp 2"], devices: [] },
  "target-s390x-ccw.bin": {
    machine: "s390-ccw-virtio-7.2",
    more: ["-smp 2", "-netdev user,id=net0"],
    devices: [
      "virtio-serial-ccw,id=ccw-fe.0.0001,devno=fe.0.0001",
      "virtserialport,bus=ccw-fe.0.0001.0,nr=1,chardev=CHARDEV0",
      "virtio-scsi-ccw,id=ccw-fe.0.0002,devno=fe.0.0002,num_queues=1",
      "virtio-blk-ccw,devno=fe.0.0000,num-queues=1,drive=DRIVE0",
      "scsi-hd,bus=ccw-fe.0.0002.0,channel=0,scsi-id=0,lun=0,drive=DRIVE1",
      "virtio-net-ccw,devno=fe.0.0003,netdev=net0",
      "sclpconsole,chardev=CHARDEV1",
      "virtio-balloon-ccw,devno=fe.0.0004",
      "virtio-rng-ccw,devno=fe.0.0005",
    ],
  },
  "target-ppc64-vio.bin": {
    machine: "pseries-7.2,ic-mode=dual,cap-hpt-max-page-size=64k",
    more: ["-cpu power9_v2.0"],
    devices: [
      "spapr-pci-host-bridge,index=1,id=phb1",
      "pci-ohci,id=dev-01.0,bus=pci.0,addr=0x1",
      "virtio-balloon-pci,bus=phb1.0,addr=0x1",
      "spapr-vscsi,id=vio-2000,reg=0x2000",
      "scsi-hd,bus=vio-2000.0,channel=0,scsi-id=1,lun=0,drive=DRIVE1",
      "spapr-vlan,id=vio-1000,reg=0x1000,netdev=net0",
      "spapr-vty,id=vio-30000000,reg=0x30000000,chardev=CHARDEV0",
    ],
  },
};

test("other targets: the machine, its properties and the devices are named as options", async (t) => {
  for (const [name, { machine, devices, more = [] }] of Object.entries(EXPECTED)) {
    const { destination } = await explained(name);
    t.deepEqual(given(destination.arguments, "-machine"), [machine], `${name}: ${machine}`);
    const named = given(destination.arguments, "-device");
    for (const device of devices) t.ok(named.includes(device), `${name}: ${device}`);
    for (const words of more) t.ok(destination.arguments.join(" ").includes(words), `${name}: ${words}`);
    t.deepEqual(destination.unnamed, [], `${name}: every section is known`);
    t.notOk(
      destination.notes.some((note) => note.includes("not named as options")),
      `${name}: nothing says that devices are not named`,
    );
  }
});

test("boards: their own memory is not taken for backends", async (t) => {
  const expected: Record<string, string[]> = {
    "arm-integratorcp": ["-machine", "integratorcp", "-m", "2M"],
    "arm-microbit": ["-machine", "microbit"],
    "avr-uno": ["-machine", "arduino-uno"],
    "m68k-virt": ["-machine", "virt-7.2", "-m", "2M"],
    // Its firmware is QEMU's own, of 64 KiB.
    "microvm-firmware": ["-machine", "microvm,rtc=on", "-m", "8M", "-nodefaults"],
  };
  for (const [name, args] of Object.entries(expected)) {
    const { destination } = await explainStream(new MemorySource(corpusEntry(name).open()));
    t.deepEqual(destination.arguments, args, name);
  }
});

test("virtio-mem of 8.0 and later: where it is, and memory modules after it; what 11.1 refuses of 10.0", async (t) => {
  const bytes = corpusEntry("v10.0-virtio-mem").open();
  const { versions } = await explainStream(new MemorySource(bytes));
  t.equal(versions.lastRelease, "11.0");
  const rule = versions.rules.find(({ lastRelease }) => lastRelease !== undefined);
  t.match(rule?.why ?? "", /"0000:00:01\.0\/virtio-mem" .* says 1024 entries/u);
  const survey = await surveyStream(new MemorySource(bytes));
  const blocks = new Map([...survey.blocks, ["m1", survey.blocks.get("pc.ram")!]]);
  t.deepEqual(given(destinationFor({ ...survey, blocks }).arguments, "-device"), [
    "virtio-mem-pci,addr=0x1,memaddr=0x100000000,block-size=0x100000,memdev=plugged",
    "pc-dimm,memdev=m1",
  ]);
});

/** What is needed of a survey of devices with these section names. */
function surveyOf(...names: string[]): Survey {
  const devices = names.map((name) => {
    return { name, instance: 0, version: 1, offset: 0, payload: 0, length: 0, state: undefined };
  });
  const inspection = { machine: null, footers: true, undecoded: [] };
  return { devices, inspection, blocks: new Map(), damage: [], eof: 0 } as unknown as Survey;
}

/** Properties of a microvm with these sections, beside its timer and PIC. */
function microvm(...names: string[]): string[] {
  const survey = surveyOf("i8254", "i8259", ...names);
  return pcOptions({ ...survey, configuration: { value: { machine: "microvm" } } } as unknown as Survey);
}

/** Arguments and devices of a pseries with these sections. */
function onPseries(...names: string[]): [string[], string[]] {
  const { arguments: args, devices } = pseries.advise(surveyOf(...names));
  return [args, devices.map(({ argument }) => argument.replace(/,.*/u, ""))];
}

test("microvm: PCI Express, USB and one IOAPIC are its properties", (t) => {
  const all = ["acpi-ged", "ioapic", "ioapic", "0000:00:00.0/gpex_root", "xhci-sysbus"];
  t.deepEqual(microvm(...all), ["pcie=on", "usb=on"]);
  t.deepEqual(microvm("acpi-ged", "ioapic"), ["ioapic2=off"]);
  t.deepEqual(microvm("ioapic"), ["acpi=off"], "without ACPI there is one");
  t.end();
});

test("pseries: terminals before the NVRAM are those of -serial, which the machine makes before it", (t) => {
  const [none, serial] = [[], ["-serial", "null"]];
  t.deepEqual(onPseries("nvram@71000000/spapr_nvram"), [none, []]);
  t.deepEqual(onPseries("vty@71000000/spapr_vty", "nvram@71000001/spapr_nvram"), [serial, []]);
  const two = ["vty@71000000/spapr_vty", "vty@71000001/spapr_vty", "nvram@71000002/spapr_nvram"];
  t.deepEqual(
    onPseries(...two, "vty@30000000/spapr_vty"),
    [[...serial, ...serial], ["spapr-vty"]],
    "and one of -device",
  );
  t.end();
});

/** A device at this address of virtio-mmio, on ARM's virt. */
function onTransport(address: string): ReturnType<typeof onMmio> {
  const name = `virtio-mmio@${address}/virtio-rng`;
  const device = { name, instance: 0, version: 1, offset: 0, payload: 0, length: 0, state: undefined };
  return onMmio({ devices: [device] }, { base: 0xa000000, step: 0x200, count: 32 });
}

test("a virtio-mmio address where the machine has no transport gives no option", (t) => {
  const last = onTransport("000000000a003e00");
  t.equal(last.devices[0]?.argument, "virtio-rng-device,bus=virtio-mmio-bus.31", "the last transport");
  for (const address of ["000000000a004000", "0000000009fffe00", "000000000a000100", "fffffffffffffe00"]) {
    const { devices, unnamed } = onTransport(address);
    t.deepEqual([devices.length, unnamed.length], [0, 1], address);
  }
  t.equal(transportPlace("virtio-mmio@00000000feb02e00/virtio-rng")?.number, 23, "the last one of microvm");
  t.equal(transportPlace("virtio-mmio@00000000feb03000/virtio-rng"), undefined, "none after it");
  t.end();
});

test("a virtio device of s390's channel bus comes apart and back", async (t) => {
  const { stdout } = await qevm(["devices", field("target-s390x-ccw.bin"), "/fe.0.0001/virtio-console"]);
  t.match(stdout, /ccw\.revision = -0x1/u, "the transport's part");
  t.match(stdout, /device\.ports\[0\]\.id = 0x1/u, "the port, although the guest is big-endian");
  t.equal((await qevm(["verify", field("target-s390x-ccw.bin")])).code, 0, "verify");
});

test("a system register that the destination does not have", async (t) => {
  const text =
    "handle_cpreg_only_in_incoming_stream: system register 0x200f3a00 in the incoming stream but unknown on the destination: fail migration";
  const { findings, unknown } = await explained("aarch64-cpreg.bin", text);
  t.deepEqual(unknown, [], "every line is known");
  t.equal(findings[0]?.cause, "cpreg", "cause");
  t.equal(findings[0]?.about.field, "cpreg_vmstate_indexes[86]", "its place in the list");
  t.match(findings[0]?.here.join(" ") ?? "", /\(PAR, cp15 CRn=7 opc1=0 CRm=4 opc2=0/u, "its name");
  const missing = await explained(
    "aarch64-cpreg.bin",
    "handle_cpreg_missing_in_incoming_stream: system register 0x13c105 expected by the destination but not in the incoming stream: skip it",
  );
  t.match(missing.findings[0]?.why.join(" ") ?? "", /does not fail a load/u, "a register that is only expected");
  t.equal(registerName(0x603000000013c100n), "op0=3 op1=0 CRn=2 CRm=0 op2=0", "of 64-bit ARM");
  t.equal(registerName(0x603000000013e088n), "HCR_EL2, op0=3 op1=4 CRn=1 CRm=1 op2=0", "with a name");
});

test("what is proposed loads in the QEMU that wrote the stream", async (t) => {
  for (const name of ["aarch64/virtualization", "s390x/virt-install", "riscv64/aia"]) {
    const line = targetLines.find((one) => `${one.target}/${one.name}` === name)!;
    const qemu = findQemu("7.2", line.program);
    if (qemu === undefined) {
      t.skip(`no ${line.program} 7.2 here`);
      continue;
    }
    const { kind, why } = await tryLine(qemu, line);
    t.equal(kind, "loads", `${name} ${why}`);
  }
});
