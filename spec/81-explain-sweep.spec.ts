/** Properties and devices that command lines of products and of the device sweep showed to be missing. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "tape";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { explainStream, MemorySource } from "../src/index.js";
import { proveStream, saveSource } from "../tools/advice/proof.js";
import { emptyDisks, words } from "../tools/capture/entries/parts.js";
import { qemuOf } from "./support/loads.js";
import { inParallel } from "./support/parallel.js";
import { PROGRAM, qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { processorClock } from "./support/processor-time.js";

const CASES: readonly (readonly [version: string, args: string, argument: RegExp])[] = [
  [
    "7.2",
    "-machine pc -smp 1,sockets=2,cores=2,maxcpus=4 -device qemu64-x86_64-cpu,socket-id=1,core-id=1,thread-id=0",
    /qemu64-x86_64-cpu,socket-id=3,core-id=0,thread-id=0/u,
  ],
  ["7.2", "-machine q35 -device qxl-vga,ram_size=134217728,vram_size=65536", /ram_size_mb=128,vram_size=65536/u],
  ["7.2", "-machine pc -device pci-bridge-seat,chassis_nr=5", /pci-bridge-seat/u],
  ["5.2", "-machine pc -audiodev none,id=a", /none,id=audio0/u],
  [
    "11.1",
    "-machine q35 -netdev user,id=a -device e1000,netdev=a -netdev user,id=b -device e1000,netdev=b",
    /id=net1/u,
  ],
  ["11.1", "-machine q35 -device nvme,serial=x,drive=disk0,max_ioqpairs=8", /nvme,.*max_ioqpairs=8/u],
  ["11.1", "-machine q35 -device virtio-rtc-pci -device vmclock", /virtio-rtc-pci/u],
];

for (const version of ["5.2", "7.2", "11.1"])
  test(`devices and properties of a stream of QEMU ${version}: the proposed destination loads it`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const own = CASES.filter(([one]) => one === version);
    await inParallel(2, own, async ([, text, argument]) => {
      const args = [...words(`-m 8 -nodefaults -vga none ${text}`), ...emptyDisks("disk0")];
      const { loaded, error, explained } = await proveStream(qemu, await saveSource(qemu, { args, run: 0 }));
      t.ok(loaded, `${text}: ${error}`);
      t.match(explained.destination.arguments.join(" "), argument, "by this option");
    });
  });

const RAM = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4));
const END = concat(be(0x10n, 8), [0x7e], be(2, 4));
const MACHINE = "pc-q35-7.2";

/** A stream with RAM blocks and with devices of two bytes, described. */
function streamWith(blocks: readonly [name: string, length: number][], devices: readonly string[]): Uint8Array {
  const total = blocks.reduce((sum, [, length]) => sum + BigInt(length), 0n);
  const list = blocks.map(([name, length]) => concat(str8(name), be(BigInt(length), 8)));
  const sections = devices.map((name, i) =>
    concat([4], be(i + 9, 4), str8(name), be(i, 4), be(1, 4), [1, 2, 0x7e], be(i + 9, 4)),
  );
  const fields = ["a", "b"].map((name) => ({ name, type: "uint8", size: 1 }));
  const described = devices.map((name, i) => ({ name, instance_id: i, vmsd_name: "x", version: 1, fields }));
  const json = Buffer.from(JSON.stringify({ page_size: 4096, devices: described }));
  const head = concat(be(0x5145564d00000003n, 8), [7], be(MACHINE.length, 4), Buffer.from(MACHINE));
  return concat(head, RAM, be(total | 4n, 8), ...list, END, ...sections, [0, 6], be(json.length, 4), json);
}

test("memory of devices is no memory module", async (t) => {
  const blocks: [string, number][] = [
    ["pc.ram", 8 << 20],
    ["synic-0-msg-page", 4096],
    ["synic-0-event-page", 4096],
    ["tpm-ppi", 4096],
    ["vmclock_page", 4096],
    ["unheard-of", 12_288],
    ["dimm0", 4 << 20],
  ];
  const { destination } = await explainStream(new MemorySource(streamWith(blocks, ["cpu", "tpm-crb", "tpm-emulator"])));
  const line = destination.arguments.join(" ");
  t.match(line, /-device pc-dimm,memdev=dimm0/u, "a module");
  t.notOk(/synic|ppi|vmclock_page|unheard/u.test(line), "and no other");
  t.match(line, /-device tpm-crb,tpmdev=TPMDEV0/u, "the TPM, with a placeholder");
  t.match(destination.notes.join("\n"), /hv-synic=on/u, "Hyper-V's controllers are said");
  t.match(
    destination.notes.join("\n"),
    /"unheard-of" \(12K\): no memory module has such a length/u,
    "and what is left out",
  );
  t.end();
});

test("time for very many devices is in proportion to them", async (t) => {
  const kinds: Record<string, (i: number) => string> = {
    "on PCI": (i) => `0000:${hex(i >> 8)}:${hex((i >> 3) & 31)}.${i & 7}/virtio-net`,
    "USB controllers": (i) => `0000:00:${hex((i >> 3) & 31)}.${i & 7}/uhci`,
    "on one USB controller": (i) => `0000:00:01.0/${i + 1}/usb-hub`,
    buses: () => "PCIBUS",
  };
  for (const [what, name] of Object.entries(kinds)) {
    const stream = (count: number): Uint8Array =>
      streamWith(
        [["pc.ram", 4096]],
        Array.from({ length: count }, (_, i) => name(i)),
      );
    await timed(stream(500));
    const [once, twice] = [await timed(stream(4000)), await timed(stream(8000))];
    // Before, 8000 devices on PCI took 54 s.
    t.ok(twice < 2.5 * once + 400, `${what}: ${Math.round(once)} ms, twice as many: ${Math.round(twice)} ms`);
  }
  t.end();
});

function hex(number: number): string {
  return number.toString(16).padStart(2, "0").slice(-2);
}

test("a save image with a wrong footer: what came before it is read by the command that is proposed", async (t) => {
  const stream = streamWith([["pc.ram", 4096]], ["cpu", "timer"]);
  stream[stream.lastIndexOf(0x7e)] = 0x33;
  const head = Buffer.alloc(92);
  head.write("LibvirtQemudSave", 0, "latin1");
  head.writeUInt32LE(2, 16);
  const xml = Buffer.from("<domain type='qemu'><name>x</name></domain>\0");
  head.writeUInt32LE(xml.length, 20);
  const file = join(mkdtempSync(join(tmpdir(), "qevm-sweep-")), "image");
  test.onFinish(() => rmSync(dirname(file), { recursive: true, force: true }));
  writeFileSync(file, Buffer.concat([head, xml, stream]));
  const explained = await qevm(["explain", file, "--json"]);
  const { findings, faults = [] } = flatDocument(explained.stdout) as {
    findings: { remedies: { command?: string[] }[] }[];
    faults?: { remedies: { command?: string[] }[] }[];
  };
  const commands = [...findings, ...faults].flatMap(({ remedies }) => remedies.flatMap(({ command }) => command ?? []));
  const shell = commands.find((word) => word.startsWith("head -c") && word.includes("inspect")) ?? "";
  const ran = spawnSync("sh", ["-c", `qevm() { "$NODE" "$QEVM" "$@"; }; ${shell}`], {
    encoding: "utf8",
    env: { ...process.env, NODE: process.execPath, QEVM: PROGRAM },
  });
  t.match(shell, /^head -c \d+ /u, "it cuts the image there");
  t.equal(ran.status, 0, ran.stderr);
  t.match(ran.stdout, /pc-q35-7\.2/u, "and what came before is read");
  t.end();
});

/** Milliseconds of processor time. */
async function timed(stream: Uint8Array): Promise<number> {
  const spent = processorClock();
  await explainStream(new MemorySource(stream));
  return spent();
}
