/**
 * Saves streams for the catalogue of device state: every device set and every machine type of the installed QEMUs, one
 * file each. `node dist/tools/catalogue/sweep.js --out DIR [--program qemu-system-x86_64] [--kinds devices,machines]
 * [--match RE] [VERSION...]`. What a QEMU does not have or does not migrate is passed over. Files that exist are kept.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { deviceJobs, type Job } from "../capture/device-sets.js";
import { emptyDisks, words } from "../capture/entries/parts.js";
import { findQemus, usualProgram, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { saveStream } from "../qemu/save-stream.js";

/** Devices that each PC machine type gets besides its own: compatibility properties show in them. */
const richPc = [
  ...words("-m 8 -smp 2 -audiodev none,id=a0 -chardev null,id=c0 -device e1000 -device rtl8139 -device virtio-net-pci"),
  ...words("-device virtio-blk-pci,drive=disk0 -device virtio-serial-pci -device virtserialport,chardev=c0"),
  ...words("-device piix3-usb-uhci,id=u -device usb-tablet,bus=u.0 -device nec-usb-xhci,id=x -device usb-kbd,bus=x.0"),
  ...words(
    "-device intel-hda -device hda-duplex,audiodev=a0 -device lsi53c895a,id=l -device scsi-hd,bus=l.0,drive=disk1",
  ),
  ...words(
    "-device virtio-balloon-pci -device virtio-scsi-pci,id=s -device scsi-hd,bus=s.0,drive=disk2 -device megasas",
  ),
  ...words(
    "-device usb-ehci,id=e -device AC97,audiodev=a0 -device pvpanic -device vmxnet3 -device i6300esb -device pcnet",
  ),
  ...emptyDisks("disk0", "disk1", "disk2"),
];

const richOther: Readonly<Record<string, readonly string[]>> = {
  pci: [
    ...words("-m 128 -device virtio-net-pci -device virtio-blk-pci,drive=disk0 -device virtio-scsi-pci,id=s"),
    ...words("-device scsi-hd,bus=s.0,drive=disk1 -device qemu-xhci,id=x -device usb-kbd,bus=x.0 -device e1000"),
    ...words("-device virtio-gpu-pci -device virtio-rng-pci -device virtio-balloon-pci"),
    ...emptyDisks("disk0", "disk1"),
  ],
};

/** Every machine type of a QEMU: with its own devices, and with more. */
function machineJobs(qemu: QemuBinary, program: string): Job[] {
  const [file = "", ...lead] = qemu.command;
  const text = spawnSync(file, [...lead, "-machine", "help"], { encoding: "utf8" }).stdout;
  const names = text
    .split("\n")
    .slice(1)
    .flatMap((row) => /^(\S+)/u.exec(row)?.slice(1) ?? [])
    .filter((name) => !/^(?:x-remote|xenfv|xenpv|nitro|none)/u.test(name));
  return names.flatMap((name) => {
    const machine = words(`-machine ${name},suppress-vmdesc=off`);
    const own = { name, args: machine };
    if (/^pc-(?:i440fx|q35)/u.test(name)) return [own, { name: `${name} rich`, args: [...machine, ...richPc] }];
    if (program === usualProgram || !/^(?:virt|pseries|sbsa)/u.test(name)) return [own];
    const cpu = program.endsWith("aarch64") ? words("-cpu max") : [];
    return [
      { ...own, args: [...machine, ...cpu] },
      { name: `${name} rich`, args: [...machine, ...cpu, ...richOther["pci"]!] },
    ];
  });
}

async function save(qemu: QemuBinary, { name, args }: Job, file: string): Promise<boolean> {
  let vm: QemuProcess;
  try {
    vm = await QemuProcess.start(qemu, args);
  } catch {
    return false;
  }
  try {
    await sleep(name.endsWith(" rich") ? 1500 : 800);
    await vm.execute("stop");
    spawnSync("cp", [await saveStream(vm), `${file}.tmp`]);
    renameSync(`${file}.tmp`, file);
    return true;
  } catch {
    return false;
  } finally {
    await vm.close();
  }
}

const line = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = line.indexOf(name);
  return at < 0 ? usual : (line.splice(at, 2)[1] ?? usual);
};
const out = option("--out", "/tmp/sweep");
const program = option("--program", usualProgram);
const kinds = new Set(option("--kinds", "devices,machines").split(","));
const match = new RegExp(option("--match", ""), "u");
for (const qemu of findQemus(false, program).filter(({ version }) => line.length === 0 || line.includes(version))) {
  const folder = join(out, `${program.replace("qemu-system-", "")}-${qemu.version}`);
  mkdirSync(folder, { recursive: true });
  const jobs = [
    ...(kinds.has("devices") && program === usualProgram ? deviceJobs() : []),
    ...(kinds.has("machines") ? machineJobs(qemu, program) : []),
  ].filter(({ name }) => match.test(name));
  const none: string[] = [];
  for (const job of jobs) {
    const file = join(folder, `${job.name.replaceAll(/[^\w.-]+/gu, "_")}.mig`);
    if (!existsSync(file) && !(await save(qemu, job, file))) none.push(job.name);
  }
  console.log(`${program} ${qemu.version}: ${jobs.length - none.length} saved; not there: ${none.join("; ")}`);
  writeFileSync(join(folder, "jobs.json"), JSON.stringify(jobs.map(({ name }) => name)));
}
