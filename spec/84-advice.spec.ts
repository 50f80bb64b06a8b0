import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { commandLines, explainStream } from "../src/analyse/explain/index.js";
import { isId, isMachineName, isUsbPort, machineWord, optionValue } from "../src/analyse/explain/names.js";
import { MemorySource } from "../src/bytes/index.js";
import { productJobs } from "../tools/advice/products.js";
import { ownThings } from "../tools/advice/placeholders.js";
import { proveStream, saveSource } from "../tools/advice/proof.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { startDestination } from "../tools/destination/index.js";
import { qemuOf } from "./support/loads.js";
import { inParallel } from "./support/parallel.js";
import { qevm } from "./support/program.js";

const field = (name: string): string => join(projectRoot(), "corpus", "field", name);
const stream = (name: string): Buffer => {
  const bytes = readFileSync(field(name));
  return bytes[0] === 0x1f ? gunzipSync(bytes) : bytes;
};

/** What has to be among the proposed arguments, and what must not be. */
const SHOWN: readonly [string, RegExp[], RegExp[]][] = [
  ["maxcpus-q35.bin", [/^1,maxcpus=4$/u], []],
  ["root-port-port.bin", [/^pcie-root-port,addr=0x2,chassis=1,port=16,slot=0$/u], []],
  ["ahci-multifunction.bin", [/^ahci,addr=0x7,multifunction=on$/u], []],
  ["net-no-msix.bin", [/^virtio-net-pci,addr=0x3,vectors=0,romfile=$/u], []],
  [
    "uhci-masterbus.bin",
    [
      /^ich9-usb-uhci1,.*multifunction=on,masterbus=dev-1d\.7\.0,firstport=0$/u,
      /^ich9-usb-ehci1,id=dev-1d\.7,.*multifunction=on$/u,
    ],
    [],
  ],
  ["vring1024.bin", [/^virtio-net-pci,/u], [/queue_size/u]],
];

test("what shows in a stream is among the arguments", async (t) => {
  for (const [name, wanted, unwanted] of SHOWN) {
    const { destination } = await explainStream(new MemorySource(stream(name)));
    for (const one of wanted)
      t.ok(
        destination.arguments.some((arg) => one.test(arg)),
        `${name}: ${one.source} in ${destination.arguments.join(" ")}`,
      );
    for (const one of unwanted)
      t.notOk(
        destination.arguments.some((arg) => one.test(arg)),
        `${name}: no ${one.source}`,
      );
  }
});

test("QEMU 7.2 loads the samples with the arguments alone", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  await inParallel(
    2,
    SHOWN.filter(([name]) => name !== "vring1024.bin"),
    async ([name]) => {
      const { loaded, error } = await proveStream(qemu, stream(name));
      t.ok(loaded, `${name} ${error.split("\n")[0]}`);
    },
  );
});

/** Captures whose disks are in the stream, and one whose bus belongs to a bridge without a section. */
const NAMED: readonly [name: string, version: string, wanted: RegExp[]][] = [
  ["block", "7.2", [/^if=none,id=empty,file=DISK0$/u, /^virtio-blk-device,.*,drive=hd$/u]],
  ["v5.2-block", "5.2", [/^if=none,id=hd,file=DISK1$/u, /^virtio-blk-device,.*,drive=empty$/u]],
  ["dirty-bitmap", "7.2", [/^if=none,id=disk0,file=DISK0$/u, /^if=none,id=disk1,file=DISK1$/u]],
  ["q35-pcie", "7.2", [/^cxl-rp,chassis=1$/u]],
];

test("disks that the stream names, and a bus without a bridge, are among the arguments", async (t) => {
  for (const [name, version, wanted] of NAMED) {
    const bytes = corpusEntry(name).open();
    const { destination } = await explainStream(new MemorySource(bytes));
    for (const one of wanted)
      t.ok(
        destination.arguments.some((arg) => one.test(arg)),
        `${name}: ${one.source} in ${destination.arguments.join(" ")}`,
      );
    const qemu = qemuOf(t, version);
    if (qemu === undefined) continue;
    const { loaded, error } = await proveStream(qemu, bytes);
    t.ok(loaded, `QEMU ${version} loads ${name} ${error.split("\n")[0]}`);
  }
});

test("a disk's name that no QEMU gives stays out of the arguments", async (t) => {
  const original = corpusEntry("block").open();
  for (const hostile of ["hd,x=/etc/shadow", "a\nb", "$(id)", "a b", "-x"]) {
    const bytes = renamed(original, "hd", hostile);
    const { destination } = await explainStream(new MemorySource(bytes));
    t.notOk(
      destination.arguments.some((word) => word.includes(hostile)),
      JSON.stringify(hostile),
    );
    t.ok(destination.arguments.includes("if=none,id=empty,file=DISK0"), "the other one is there");
    t.ok(
      destination.notes.some((note) => note.includes("a name that no QEMU gives")),
      "and a note says so",
    );
  }
});

const str8 = (text: string): string => String.fromCodePoint(text.length) + text;

/** The stream with every str8 of one name replaced by another. */
function renamed(bytes: Buffer, from: string, to: string): Buffer {
  return Buffer.from(bytes.toString("latin1").replaceAll(str8(from), str8(to)), "latin1");
}

/** A handful of what `npm run advice` tries. */
const PRODUCTS = [
  "virt-manager q35 linux",
  "proxmox q35 ovmf",
  "lxd vm",
  "utm q35",
  "gnome boxes",
  "virt-install hotplug memory numa",
  "libvirt pxb numa",
  "qemu smp threads",
  "root port options",
  "microvm",
];

test("command lines of products: QEMU 7.2 loads its stream with explain's arguments alone", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const jobs = productJobs().filter(({ name }) => PRODUCTS.includes(name));
  t.equal(jobs.length, PRODUCTS.length, "all are in the list");
  await inParallel(2, jobs, async ({ name, args }) => {
    const { loaded, error } = await proveStream(qemu, await saveSource(qemu, { args, run: 0 }));
    t.ok(loaded, `${name} ${error.split("\n")[0]}`);
  });
});

const ROM_TEXT = "Size mismatch: 0000:00:03.0/virtio-net-pci.rom: 0x40000 != 0x80000: Invalid argument";

test("a ROM of another length: the guest's own block is what the remedy names", async (t) => {
  const { findings } = await explainStream(new MemorySource(stream("rom256k.bin")), ROM_TEXT, { name: "FILE" });
  const remedies = findings[0]?.remedies ?? [];
  t.deepEqual(remedies[0]?.command, ["qevm", "extract", "FILE", "--out", "DIR", "--format", "blocks"]);
  const device = remedies[1]?.arguments?.[1] ?? "";
  t.match(device, /,romfile=DIR\/0000%3A00%3A03\.0%2Fvirtio-net-pci\.rom$/u);
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const folder = mkdtempSync(join(tmpdir(), "qevm-advice-"));
  try {
    const { code } = await qevm(["extract", field("rom256k.bin"), "--out", join(folder, "DIR"), "--format", "blocks"]);
    t.equal(code, 0);
    const rom = readFileSync(join(folder, "DIR", device.replace(/^.*romfile=DIR\//u, "")));
    const explained = await explainStream(new MemorySource(stream("rom256k.bin")));
    const { args, files } = ownThings(explained, "pc");
    const words = args.map((arg) =>
      arg.startsWith("virtio-net-pci") ? device.replace("romfile=DIR/", "romfile=$DIR/") : arg,
    );
    const own = { ...files, "0000%3A00%3A03.0%2Fvirtio-net-pci.rom": rom };
    const { vm, result } = await startDestination({ qemu, args: words, files: own, stream: stream("rom256k.bin") });
    await vm.close();
    t.ok(result.loaded, `QEMU 7.2 loads it ${result.error.split("\n")[0]}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const QUEUE_TEXT = `VQ 0 vring.num 1024 exceeds allocated max 256
error while loading state for instance 0x0 of device '0000:00:03.0/virtio-net'`;

test("queues of 1024 entries of a device without a driver: changed in the stream, it loads in 11.1", async (t) => {
  const { findings } = await explainStream(new MemorySource(stream("vring1024.bin")), QUEUE_TEXT, { name: "FILE" });
  const found = findings.find(({ cause }) => cause === "virtqueue");
  t.match(found?.why.join(" ") ?? "", /QEMU 10\.0 saves that number/u);
  t.match(found?.remedies[0]?.what ?? "", /256, 256, 64/u);
  t.deepEqual(
    found?.remedies.map(({ command }) => command?.[1]),
    ["unpack", "pack"],
  );
  const qemu = qemuOf(t, "11.1");
  if (qemu === undefined) return;
  const before = await proveStream(qemu, stream("vring1024.bin"));
  t.notOk(before.loaded, "as it is 11.1 refuses it");
  const folder = mkdtempSync(join(tmpdir(), "qevm-advice-"));
  try {
    const [dir, made] = [join(folder, "DIR"), join(folder, "NEW")];
    t.equal((await qevm(["unpack", field("vring1024.bin"), dir])).code, 0);
    const file = readdirSync(join(dir, "devices")).find((name) => name.includes("virtio-net")) ?? "";
    const sizes = [256, 256, 64];
    const text = readFileSync(join(dir, "devices", file), "utf8");
    writeFileSync(
      join(dir, "devices", file),
      text.replaceAll('"num": 1024', () => `"num": ${sizes.shift()}`),
    );
    t.equal((await qevm(["pack", dir, "--out", made])).code, 0);
    const after = await proveStream(qemu, readFileSync(made));
    t.ok(after.loaded, `and then loads it ${after.error.split("\n")[0]}`);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

const HOSTILE = [
  "x,kernel=/etc/shadow",
  "a b",
  "a\nb",
  "$(id)",
  "`id`",
  "a'b",
  'a"b',
  "-x",
  "",
  "\u001B[2J",
  "a;b",
  "../x",
  "é",
];

test("no name that a QEMU cannot have is put into an argument", async (t) => {
  for (const name of HOSTILE) {
    t.notOk(isMachineName(name), `machine ${JSON.stringify(name)}`);
    t.equal(machineWord(name), "TYPE");
    t.notOk(isId(name), `id ${JSON.stringify(name)}`);
    t.notOk(isUsbPort(name), `port ${JSON.stringify(name)}`);
  }
  for (const name of [
    "pc-i440fx-7.2",
    "pc-q35-rhel8.6.0",
    "pc-i440fx-bionic",
    "virt-2.11",
    "pseries-7.2",
    "s390-ccw-virtio-7.2",
  ])
    t.ok(isMachineName(name), name);
  for (const name of ["ram-node0", "mem_1", "pc.ram"]) t.ok(isId(name), name);
  t.equal(optionValue("a,b"), "a,,b");
  const original = stream("machine-comma.mig");
  const length = "pc-i440fx-7.2,kernel=/etc/shadow,dumpdtb=/var/tmp/pwned9".length;
  const start = original.indexOf("pc-i440fx-7.2,");
  for (const hostile of [undefined, ...HOSTILE.filter((name) => /^[\0-\x7f]+$/u.test(name))]) {
    const bytes = Buffer.from(original);
    if (hostile !== undefined) bytes.write(`pc-i440fx-7.2${hostile}`.padEnd(length, "A"), start, "latin1");
    const received = bytes.toString("latin1", start, start + length);
    const text = `Machine type received is '${received}' and local is 'pc-i440fx-7.2'`;
    const { destination, findings } = await explainStream(new MemorySource(bytes), text);
    const remedies = findings.flatMap((one) =>
      one.remedies.flatMap((remedy) => [...(remedy.arguments ?? []), ...(remedy.command ?? [])]),
    );
    const words = [...destination.arguments, ...remedies];
    const shown = commandLines(words).join("\n");
    t.notOk(
      words.some((word) => word.includes("shadow") || (isStrange(hostile) && word.includes(hostile))),
      `not ${JSON.stringify(received)}`,
    );
    t.notOk(/[^\n\x20-\x7e]/u.test(shown), "and no control character");
    if (!isMachineName(received)) t.equal(destination.arguments[1]?.split(",")[0], "TYPE");
  }
});

function isStrange(hostile: string | undefined): hostile is string {
  return hostile !== undefined && hostile !== "" && hostile !== "-x";
}
