/**
 * Streams beyond the corpus: every machine type and every device, one after the other, of every QEMU that is here, each captured
 * and verified at once and not kept. `node dist/tools/capture/sweep.js [--machines] [--devices] [VERSION...]`; exit 1 when one
 * stream does not come back identical or holds opaque bytes. What a QEMU does not have or refuses to migrate is counted.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { verifyStream } from "../../src/inspect/verify.js";
import { MemorySource } from "../../src/qemu-file/index.js";
import { findQemus, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { emptyDisks, words } from "./entries/parts.js";
import { runStep } from "./steps.js";

/** Devices, each with what it needs in front of it, for q35. */
const deviceSets = `
cxl-rp; ioh3420; pcie-root-port; i82801b11-bridge; pci-bridge,chassis_nr=5; pcie-pci-bridge; pxb-pcie,bus_nr=40
x3130-upstream,id=u xio3130-downstream,bus=u; ich9-usb-ehci1; ich9-usb-uhci1; nec-usb-xhci; pci-ohci; piix3-usb-uhci; qemu-xhci
usb-ehci; am53c974; dc390; ich9-ahci; lsi53c810; lsi53c895a; megasas; megasas-gen2; mptsas1068; pvscsi; piix3-ide; piix4-ide
sdhci-pci sd-card,drive=disk0; virtio-serial-pci virtserialport,chardev=c0 virtconsole; virtio-rng-pci; virtio-balloon-pci
virtio-scsi-pci scsi-hd,drive=disk0 scsi-cd; virtio-blk-pci,drive=disk0; virtio-blk-pci-transitional,drive=disk0
virtio-blk-pci-non-transitional,drive=disk0; pvscsi scsi-hd,drive=disk0; megasas scsi-hd,drive=disk0; lsi53c895a scsi-hd,drive=disk0
mptsas1068 scsi-hd,drive=disk0; am53c974 scsi-hd,drive=disk0; virtio-net-pci; virtio-net-pci-transitional; virtio-net-pci-non-transitional
virtio-keyboard-pci; virtio-mouse-pci; virtio-tablet-pci; virtio-gpu-pci; virtio-vga; virtio-iommu-pci; virtio-sound-pci,audiodev=a0
virtio-mem-pci,memdev=m8; virtio-pmem-pci,memdev=m8; virtio-9p-pci,fsdev=fs0,mount_tag=x; virtio-crypto-pci,cryptodev=cry
e1000; e1000-82544gc; e1000-82545em; e1000e; igb; i82550; i82551; i82557a; i82557b; i82557c; i82558a; i82558b; i82559a; i82559b; i82559c; i82559er
i82562; i82801; ne2k_pci; ne2k_isa; pcnet; rtl8139; tulip; vmxnet3; rocker; tpci200,id=t ipoctal232,bus=t.0; pci-serial,chardev=c0
pci-serial-2x,chardev1=c0,chardev2=c1; pci-serial-4x,chardev1=c0; isa-parallel,chardev=c0; isa-serial,chardev=c0; ati-vga; bochs-display; cirrus-vga
isa-cirrus-vga; isa-vga; secondary-vga; VGA; vmware-svga; qxl; qxl-vga; ramfb; AC97,audiodev=a0; ES1370,audiodev=a0; sb16,audiodev=a0; cs4231a,audiodev=a0
adlib,audiodev=a0; gus,audiodev=a0; intel-hda hda-duplex,audiodev=a0; ich9-intel-hda hda-micro,audiodev=a0 hda-output,audiodev=a0; intel-iommu
amd-iommu; ctucan_pci; kvaser_pci,canbus=can0; mioe3680_pci,canbus0=can0; pcm3680_pci,canbus0=can0; edu; hyperv-testdev; i2c-ddc; isa-applesmc
isa-debug-exit; isa-debugcon,chardev=c0; pc-testdev; pci-testdev; pvpanic; pvpanic-pci; vmcoreinfo; vmgenid; i6300esb; ib700; sga; isa-fdc
floppy,drive=disk0; isa-ide; vmclock; acpi-erst,memdev=m64k; ivshmem-plain,memdev=m8,master=on; ivshmem-plain,memdev=m8
ipmi-bmc-sim,id=b isa-ipmi-kcs,bmc=b; ipmi-bmc-sim,id=b isa-ipmi-bt,bmc=b; ipmi-bmc-sim,id=b pci-ipmi-kcs,bmc=b; ipmi-bmc-sim,id=b pci-ipmi-bt,bmc=b
ipmi-bmc-sim,id=b smbus-ipmi,bmc=b; qemu-xhci usb-tablet; qemu-xhci usb-kbd; qemu-xhci usb-mouse; qemu-xhci usb-storage,drive=disk0
qemu-xhci usb-bot,id=b scsi-hd,bus=b.0,drive=disk0; piix3-usb-uhci usb-hub; piix3-usb-uhci usb-ccid; qemu-xhci usb-redir,chardev=c0; qemu-xhci usb-wacom-tablet
qemu-xhci usb-serial,chardev=c0; qemu-xhci usb-uas; qemu-xhci usb-audio,audiodev=a0; piix3-usb-uhci usb-net; usb-ehci usb-storage,drive=disk0
ich9-ahci,id=h ide-hd,bus=h.0,drive=disk0 ide-cd,bus=h.1; nvme,serial=x,drive=disk0; ufs,id=u; cxl-type3; xio3130-downstream; rocker; sdhci-pci
smbus-eeprom; at24c-eeprom,rom-size=256; tmp105; ds1338; i2c-echo; virtio-rtc-pci; riscv-iommu-pci; nitro-enclave; pc-dimm,memdev=m8; nvdimm,memdev=m8
`;

const shared = [
  ...words("-chardev null,id=c0 -chardev null,id=c1 -audiodev none,id=a0 -fsdev synth,id=fs0 -object can-bus,id=can0"),
  ...words("-object memory-backend-ram,id=m8,size=8M,share=on -object memory-backend-ram,id=m64k,size=64K"),
  ...words("-object cryptodev-backend-builtin,id=cry"),
  ...emptyDisks("disk0"),
];

interface Job {
  readonly name: string;
  readonly args: readonly string[];
}

function deviceJobs(): Job[] {
  const base = words("-machine q35,nvdimm=on -m 8,slots=4,maxmem=1G -nodefaults -vga none");
  return deviceSets
    .split(/[;\n]/u)
    .map((set) => words(set).filter((word) => word !== ""))
    .filter((set) => set.length > 0)
    .map((set) => ({ name: set.join(" "), args: [...base, ...shared, ...set.flatMap((one) => ["-device", one])] }));
}

/** Every machine type of a QEMU, with its default devices. */
function machineJobs(qemu: QemuBinary): Job[] {
  const [file = "", ...lead] = qemu.command;
  const text = spawnSync(file, [...lead, "-machine", "help"], { encoding: "utf8" }).stdout;
  return text
    .split("\n")
    .slice(1)
    .flatMap((row) => /^(\S+)/u.exec(row)?.slice(1) ?? [])
    .filter((name) => !/^(?:x-remote|xenfv|xenpv|nitro)/u.test(name))
    .map((name) => ({ name, args: words(`-machine ${name} -m 8`) }));
}

type Outcome = "good" | "bad" | "none";

async function run(qemu: QemuBinary, { name, args }: Job): Promise<Outcome> {
  let vm: QemuProcess;
  try {
    vm = await QemuProcess.start(qemu, args);
  } catch {
    return "none";
  }
  try {
    if (!args.includes("none")) await Promise.race([runStep(vm, { wait: "halted" }), runFor(1500)]);
    await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
    await runStep(vm, { wait: "completed" });
  } catch {
    await vm.close();
    return "none";
  }
  const stream = readFileSync(vm.file("stream"));
  await vm.close();
  try {
    const { identical, opaqueBytes, inspection } = await verifyStream(new MemorySource(stream));
    if (identical && opaqueBytes === 0) return "good";
    // Machine types before 2.3 suppress the description: their device state cannot be named by anybody.
    if (identical && /^pc-(?:i440fx|q35)-(?:1|2\.[0-2]$)/u.test(name)) return "good";
    const why = inspection.undecoded.map(({ reason }) => reason).join("; ");
    console.log(`BAD ${qemu.version} ${name}: identical ${identical}, opaque ${opaqueBytes} ${why}`);
  } catch (error) {
    console.log(`BAD ${qemu.version} ${name}: ${String(error)}`);
  }
  return "bad";
}

async function runFor(milliseconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

const options = argv.slice(2);
const versions = options.filter((word) => !word.startsWith("--"));
let bad = 0;
for (const qemu of findQemus().filter(({ version }) => versions.length === 0 || versions.includes(version))) {
  const only = new Set(options);
  const jobs = [...(only.has("--machines") ? [] : deviceJobs()), ...(only.has("--devices") ? [] : machineJobs(qemu))];
  const count: Record<Outcome, string[]> = { good: [], bad: [], none: [] };
  for (const job of jobs) count[await run(qemu, job)].push(job.name);
  bad += count.bad.length;
  console.log(`QEMU ${qemu.version}: ${count.good.length} identical and understood, ${count.bad.length} not`);
  console.log(`  not there or not migratable: ${count.none.join("; ")}`);
}
exit(bad === 0 ? 0 : 1);
