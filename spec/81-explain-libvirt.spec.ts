/** What the domain XML of a save image adds to the destination: CPU, disks, firmware. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { domainOf } from "../src/io/container/libvirt/domain.js";
import { destinationFor } from "../src/analyse/explain/destination.js";
import { cpuArguments, domainDisks, flashNotes } from "../src/analyse/explain/domain.js";
import { surveyStream } from "../src/analyse/explain/survey.js";
import type { LikelyDevice } from "../src/analyse/explain/types.js";
import { explainStream, MemorySource } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { startDestination } from "../tools/destination/index.js";
import { qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-domain-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const domain = (inside: string, type = "kvm"): string => `<domain type='${type}'>${inside}</domain>`;
const factsOf = (xml: string, cookie?: string): ReturnType<typeof domainOf> => domainOf({ xml, cookie, padding: 0 });

test("the CPU of a domain XML", (t) => {
  const features = `<feature policy='require' name='lahf_lm'/><feature policy='disable' name='pclmuldq'/>
    <feature policy='optional' name='avx'/><feature policy='require' name='a,b=c'/>`;
  const custom = `<cpu mode='custom' match='exact'><model fallback='forbid'>Skylake-Client-IBRS</model>${features}</cpu>`;
  t.equal(factsOf(domain(custom))?.cpu, "Skylake-Client-IBRS,lahf-lm=on,pclmulqdq=off", "QEMU's names");
  t.equal(factsOf(domain("<cpu mode='host-passthrough'/>"))?.cpu, "host");
  t.equal(factsOf(domain("<cpu mode='maximum'/>"))?.cpu, "max");
  t.equal(factsOf(domain("<cpu mode='host-model'/>"))?.cpu, undefined, "which model is not said");
  const cookie = "<cookie><cpu mode='custom'><model>EPYC</model></cpu></cookie>";
  t.equal(factsOf(domain("<cpu mode='host-model'/>"), cookie)?.cpu, "EPYC", "but in the cookie");
  t.equal(factsOf(domain("<cpu><model>a b -device x</model></cpu>"))?.cpu, undefined, "no model of QEMU's");
  t.equal(factsOf(domain("", "qemu"))?.accelerator, "tcg");
  t.ok(factsOf(domain("<features><hyperv><relaxed state='on'/></hyperv></features>"))?.hyperv);
  const notes: string[] = [];
  t.deepEqual(cpuArguments(factsOf(domain("<cpu mode='host-passthrough'/>"))!, notes), [], "which needs KVM is said");
  t.ok(notes.join().includes("-accel kvm -cpu host, on a host of the same kind"), notes.join());
  for (const [what, text] of Object.entries({
    "not XML": "domain",
    "another document": "<cookie/>",
    "not closed": "<domain><devices>",
    "nested 100,000 times": `<domain>${"<a>".repeat(100_000)}`,
    "an entity that grows": `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><domain>&b;</domain>`,
  }))
    t.equal(factsOf(text), undefined, what);
  t.end();
});

const likely = (argument: string, place = ""): LikelyDevice => ({
  section: "",
  instance: 0,
  streamOffset: 0,
  place,
  argument,
  also: [],
});

test("a place that is no number is none", (t) => {
  const disk =
    "<disk><source file='/d'/><target dev='hda' bus='ide'/><address type='drive' bus='x' unit='9e99'/></disk>";
  t.equal(factsOf(domain(`<devices>${disk}</devices>`))?.disks[0]?.drive, undefined);
  t.end();
});

const DISKS = domain(`<devices>
  <disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='/srv/a,b.qcow2'/>
    <target dev='vda' bus='virtio'/><address type='pci' domain='0x0000' bus='0x04' slot='0x0a' function='0x1'/></disk>
  <disk type='block' device='disk'><driver name='qemu' type='raw'/><source dev='/dev/sdb'/><target dev='sda' bus='scsi'/>
    <address type='drive' controller='0' bus='0' target='0' unit='3'/></disk>
  <disk type='file' device='cdrom'><target dev='sdb' bus='scsi'/>
    <address type='drive' controller='0' bus='0' target='1' unit='0'/></disk>
  <disk type='network' device='disk'><driver name='qemu' type='raw'/><source protocol='rbd' name='pool/x'/>
    <target dev='vdb' bus='virtio'/><address type='pci' domain='0' bus='0' slot='0x05' function='0'/></disk>
  <disk type='file' device='cdrom'><driver type='raw'/><source file='/iso'/><target dev='hdc' bus='ide'/><readonly/>
    <address type='drive' controller='0' bus='1' target='0' unit='0'/></disk>
  <disk type='file' device='floppy'><driver type='raw'/><source file='/flp'/><target dev='fda' bus='fdc'/></disk>
  <disk type='file' device='disk'><driver type='raw'/><source file='/sata'/><target dev='sdc' bus='sata'/>
    <address type='drive' controller='0' bus='0' target='0' unit='2'/></disk>
</devices>`);

test("the disks of a domain XML", (t) => {
  const devices = [
    likely("virtio-blk-pci,id=x,drive=DRIVE0", "0000:04:0a.1"),
    likely("scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=3,drive=DRIVE1", "0000:00:06.0"),
    likely("scsi-hd,bus=scsi0.0,channel=0,scsi-id=1,lun=0,drive=DRIVE2", "0000:00:06.0"),
    likely("virtio-blk-pci,addr=5,drive=DRIVE3", "0000:00:05.0"),
    likely("virtio-blk-pci,addr=9,drive=DRIVE4", "0000:00:09.0"),
  ];
  const piix = domainDisks(devices, factsOf(DISKS)!, { pc: true, ide: true, q35: false });
  t.deepEqual(
    piix.devices.map(({ argument }) => argument),
    [
      "virtio-blk-pci,id=x,drive=DRIVE0",
      "scsi-hd,bus=scsi0.0,channel=0,scsi-id=0,lun=3,drive=DRIVE1",
      "scsi-cd,bus=scsi0.0,channel=0,scsi-id=1,lun=0",
      "virtio-blk-pci,addr=5,drive=DRIVE3",
      "virtio-blk-pci,addr=9,drive=DRIVE4",
    ],
    "an empty CD drive has no drive, a disk without a place in the XML keeps its placeholder",
  );
  t.deepEqual(piix.arguments, [
    "-drive",
    "if=none,id=DRIVE0,format=qcow2,file=/srv/a,,b.qcow2",
    "-drive",
    "if=none,id=DRIVE1,format=raw,file=/dev/sdb",
    "-drive",
    "if=none,id=hdc,format=raw,readonly=on,file=/iso",
    "-device",
    "ide-cd,bus=ide.1,unit=0,drive=hdc",
    "-drive",
    "if=floppy,unit=0,format=raw,file=/flp",
  ]);
  t.deepEqual(piix.notes, ['the disk "vdb" of the domain XML is not a file (rbd): DRIVE3 stands for it']);
  const q35 = domainDisks([], factsOf(DISKS)!, { pc: true, ide: true, q35: true }).arguments;
  t.ok(q35.includes("if=none,id=sdc,format=raw,file=/sata"), "SATA on q35");
  t.ok(q35.includes("ide-hd,bus=ide.2,drive=sdc"), "at its port");
  const flash = factsOf(domain("<os><loader type='pflash'>/code.fd</loader><nvram>/vars,1.fd</nvram></os>"));
  t.deepEqual(
    flashNotes(["-drive", "if=pflash,unit=1,file=FLASH1", "-drive", "if=pflash,unit=0,file=FLASH0"], flash!),
    ['FLASH1 is "/vars,1.fd" in the domain XML', 'FLASH0 is "/code.fd" in the domain XML'],
  );
  t.end();
});

test("a stream without a save image is explained as before", async (t) => {
  const survey = await surveyStream(new MemorySource(corpusEntry("live-seabios").open()), {}, []);
  const { arguments: args, notes } = destinationFor(survey);
  t.notOk(args.includes("-cpu") || args.includes("-drive"), "no CPU, no disk");
  t.ok(
    notes.some((note) => note.startsWith("the CPU model (-cpu)")),
    "which is said",
  );
});

test("a save image is loaded by a real QEMU with the arguments that explain prints", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const entry = corpusEntry("live-seabios");
  const [stream, image, disk, xml] = ["stream", "image", "disk,1.img", "xml"].map((name) => join(work, name)) as [
    string,
    string,
    string,
    string,
  ];
  writeFileSync(stream, entry.open());
  writeFileSync(disk, Buffer.alloc(1 << 20, "x"));
  const cpu = "<cpu mode='custom'><model>qemu64</model><feature policy='require' name='lahf_lm'/></cpu>";
  const devices = `<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${disk}'/>
    <target dev='hda' bus='ide'/><address type='drive' controller='0' bus='0' target='0' unit='0'/></disk></devices>`;
  const os = "<os><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>";
  writeFileSync(xml, domain(`<name>x</name>${os}${cpu}${devices}`, "qemu"));
  const made = await qevm(["convert", stream, "--to", "libvirt", "--xml", xml, "--out", image]);
  t.equal(made.code, 0, made.stderr);
  const { destination } = await explainStream(image);
  t.ok(destination.arguments.includes("qemu64,lahf-lm=on"), destination.arguments.join(" "));
  t.ok(!destination.arguments.join(" ").includes("disk"), "whoever has no disks can start it, too");
  const args = [...destination.arguments, ...destination.diskArguments];
  const { vm, result } = await startDestination({ qemu, args, stream: entry.open() });
  try {
    t.equal(result.status, "completed", result.error);
    t.ok((await vm.human("info block")).includes(disk), "with the disk");
  } finally {
    await vm.close();
  }
  const printed = await qevm(["explain", image]);
  t.match(printed.stdout, /-cpu qemu64,lahf-lm=on/u, "printed, too");
  t.match(printed.stdout, /of the domain XML in the save image/u, "and where it is from");
  t.match(printed.stdout, /with the disks of the domain XML, where their files are:\n {4}-drive /u, "disks apart");
});
