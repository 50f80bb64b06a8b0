/** The inputs of corpus/field: the command of each report, and what is right. */
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { projectRoot } from "../tools/corpus.js";
import { qevm, type Ended } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-field-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const field = (name: string): string => join(projectRoot(), "corpus", "field", name);
const out = (name: string): string => join(work, name);
/** Without the breaks of an 80 column terminal. */
const flat = ({ stdout }: Ended): string =>
  stdout
    .replaceAll(/ \\\n\s*/gu, " ")
    .replaceAll("\\\n", "")
    .replaceAll(/\s+/gu, " ");

const explain = async (file: string, ...text: string[]): Promise<string> =>
  flat(await qevm(["explain", field(file), ...text]));

test("Proxmox VE's section is read, and the memory after it", async (t) => {
  for (const name of ["pbs-state", "pbs-state-without"]) {
    const { code } = await qevm(["extract", field(`${name}.bin`), "--format", "raw", "--out", out(name)]);
    t.equal(code, 0, name);
  }
  const memory = readFileSync(out("pbs-state"));
  t.equal(memory.subarray(0x1000, 0x1008).toString("hex"), "8877665544332211");
  t.ok(memory.equals(readFileSync(out("pbs-state-without"))), "the same as without the section");
  const read = await qevm(["read", field("pbs-state.bin"), "--physical", "0x1000", "--length", "8"]);
  t.match(read.stdout, /8877 6655 4433 2211/u);
  const converted = await qevm(["convert", field("pbs-state.bin"), "--to", "mapped-ram", "--out", out("mapped")]);
  t.equal(converted.code, 0, converted.stderr);
  const again = await qevm(["read", out("mapped"), "--physical", "0x1000", "--length", "8"]);
  t.match(again.stdout, /8877 6655 4433 2211/u, "in the mapped-ram file, too");
  t.match((await qevm(["verify", field("pbs-state.bin")])).stdout, /identical/u);
});

test("what shows in the stream is in the destination's command line", async (t) => {
  const rows: [file: string, text: string, wanted: RegExp][] = [
    ["maxcpus-q35.bin", "Missing section footer for 0000:00:1f.0/ICH9LPC", /-smp 1,maxcpus=4 /u],
    [
      "root-port-port.bin",
      "Bad config data: i=0x63 read: 10 device: 0 cmask: ff wmask: 0 w1cmask:0",
      /-device pcie-root-port,\S*\bport=16\b/u,
    ],
    [
      "ahci-multifunction.bin",
      "Bad config data: i=0xe read: 80 device: 0 cmask: ff wmask: 0 w1cmask:0",
      /-device ahci,\S*multifunction=on/u,
    ],
    [
      "net-no-msix.bin",
      "Bad config data: i=0x34 read: 84 device: 98 cmask: ff wmask: 0 w1cmask:0",
      /-device virtio-net-pci,\S*vectors=0/u,
    ],
    ["uhci-masterbus.bin", "", /-device ich9-usb-uhci1,\S*masterbus=dev-1d\.7\.0,firstport=0/u],
  ];
  for (const [file, text, wanted] of rows) {
    const page = await explain(file, ...(text === "" ? [] : [text]));
    t.match(page, wanted, file);
    t.notOk(/Unrecognized messages/u.test(page), `${file}: the text is known`);
  }
});

test("texts, with what the stream says of them", async (t) => {
  const queues = await explain("vring1024.bin", "VQ 0 vring.num 1024 exceeds allocated max 256");
  t.match(queues, /every queue of the device says 1024 entries, its control queue too/u);
  t.match(queues, /256, 256, 64/u);
  t.notOk(/queue_size=1024/u.test(queues), "no queue size is proposed");
  const rom = await explain(
    "rom256k.bin",
    "Size mismatch: 0000:00:03.0/virtio-net-pci.rom: 0x40000 != 0x80000: Invalid argument",
  );
  t.match(rom, /--format blocks/u);
  t.match(rom, /romfile=DIR\/0000%3A00%3A03\.0%2Fvirtio-net-pci\.rom/u);
  const bionic = await explain(
    "machine-bionic.bin",
    "Machine type received is 'pc-i440fx-bionic' and local is 'pc-i440fx-2.11'",
  );
  t.match(bionic, /Ubuntu's name of pc-i440fx-2\.11/u);
  t.match(bionic, /qevm convert \S+ --out NEW --machine pc-i440fx-2\.11/u);
  t.notOk(/another machine altogether/u.test(bionic));
  const json = String.raw`{"msg":"... Unknown ramblock \"pc.bios\", cannot accept migration"}`;
  t.match(await explain("machine-bionic.bin", json), /this file has block "pc\.bios" of 65536 bytes/u);
  const features = await explain(
    "net-no-msix.bin",
    "Features 0x1c0010130afffaf unsupported. Allowed features: 0x10179bfffef\n" +
      "error while loading state for instance 0x0 of device '0000:00:03.0/virtio-net'",
  );
  t.match(features, /bits 54, 55, 56/u);
  const cpreg = await explain(
    "aarch64-cpreg.bin",
    "handle_cpreg_only_in_incoming_stream: system register 0x200f3a00 in the incoming stream but unknown on the destination: fail migration",
  );
  t.match(cpreg, /cpreg_vmstate_indexes\[86\]/u);
});

test("files that begin later, go on later, or were broken off", async (t) => {
  const part = ["extract", field("libvirt-part.bin"), "--format", "raw", "--out", out("part")];
  const strict = await qevm(part);
  t.equal(strict.code, 2);
  t.match(strict.stderr, /--lenient/u);
  const lenient = await qevm([...part, "--lenient"]);
  t.ok(existsSync(out("part")), "what is there is written");
  t.match(lenient.stderr, /saving was interrupted/u);
  t.match(await explain("libvirt-part.bin"), /interrupted or failed/u);
  const saved = await qevm(["inspect", field("savevm-mapped-ram.bin")]);
  t.equal(saved.code, 0, saved.stderr);
  t.match(saved.stdout, /mapped-ram, complete/u);
  const late = await qevm(["inspect", field("mapped-ram-at-2M.bin")]);
  t.equal(late.code, 1);
  t.match(late.stderr, /a stream begins at byte 0x200000: --stream-offset 2M/u);
  const offset = await qevm(["verify", field("mapped-ram-at-2M.bin"), "--stream-offset", "2M"]);
  t.match(offset.stdout, /understood: every byte/u);
  const advised = flat(await qevm(["explain", field("mapped-ram-at-2M.bin"), "--stream-offset", "2M"]));
  t.match(advised, /-incoming file:PATH,offset=2097152/u);
});

test("hostile files are refused in words, in proportion", async (t) => {
  const refusals: [args: string[], words: RegExp][] = [
    [["extract", field("page-256K.mig"), "--format", "raw", "--out", out("p")], /target page bits/u],
    [["convert", field("block-8TiB.mig"), "--to", "mapped-ram", "--out", out("m")], /bitmapBytes/u],
  ];
  for (const [args, words] of refusals) {
    const { code, stderr } = await qevm(args, { timeout: 20_000 });
    t.equal(code, args[0] === "convert" ? 2 : 1, args[0]);
    t.match(stderr, words);
    t.notOk(/\n\s+at /u.test(stderr), "no stack trace");
  }
  const comma = await explain("machine-comma.mig");
  t.match(comma, /-machine TYPE -m/u);
  t.notOk(/(?:-machine|-kernel) \S*shadow/u.test(comma), "no option comes from the name");
  t.equal((await qevm(["unpack", field("block-8TiB.mig"), out("u")], { timeout: 20_000 })).code, 0);
  const packed = await qevm(["pack", out("u"), "--out", out("never")], { timeout: 20_000 });
  t.match(packed.stderr, /absentBytes/u);
});

test("folders from somebody else: links and depth are refused", async (t) => {
  t.equal((await qevm(["unpack", field("machine-bionic.bin"), out("folder")])).code, 0);
  cpSync(out("folder"), out("deep"), { recursive: true });
  const manifest = readFileSync(join(out("folder"), "manifest.json"), "utf8");
  const device = /devices\/[^"]+\.json/u.exec(manifest)![0];
  rmSync(join(out("folder"), device));
  writeFileSync(out("secret"), "{}");
  symlinkSync(out("secret"), join(out("folder"), device));
  const linked = await qevm(["pack", out("folder"), "--out", out("never")]);
  t.equal(linked.code, 1);
  t.match(linked.stderr, /found a symbolic link/u);
  writeFileSync(join(out("deep"), "manifest.json"), `${"[".repeat(200_000)}${"]".repeat(200_000)}`);
  const deep = await qevm(["pack", out("deep"), "--out", out("never")]);
  t.equal(deep.code, 2);
  t.match(deep.stderr, /nested too deep at character 200/u);
  t.notOk(existsSync(out("never")), "nothing is written");
});

test("a sparse qcow2 that states a large L1 table is refused", async (t) => {
  const head = Buffer.alloc(0x30000);
  head.write("QFI\u00fb", 0, "latin1");
  head.writeUInt32BE(2, 4);
  head.writeUInt32BE(16, 20);
  head.writeBigUInt64BE(0x100000n, 24);
  // One snapshot, its table at 128 KiB: L1 table of 2^32 - 1 entries at 64 KiB.
  head.writeUInt32BE(1, 60);
  head.writeBigUInt64BE(0x20000n, 64);
  head.writeBigUInt64BE(0x10000n, 0x20000);
  head.writeUInt32BE(0xffffffff, 0x20008);
  head.writeUInt16BE(1, 0x2000c);
  head.writeUInt16BE(1, 0x2000e);
  head.writeUInt32BE(0x1000, 0x20020);
  head.write("1s", 0x20028, "latin1");
  writeFileSync(out("l1.qcow2"), head);
  truncateSync(out("l1.qcow2"), 2 ** 36);
  const { code, stderr } = await qevm(["inspect", out("l1.qcow2")], { timeout: 20_000 });
  t.equal(code, 2);
  t.match(stderr, /L1 table is too large/u);
});
