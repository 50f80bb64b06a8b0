/**
 * The Linux of the matrix: Debian's kernel, its drivers of the devices in `cells.ts`, and busybox, whose init says all
 * 0.3 s on ttyS0 how disks, network, virtio's serial
 * ports and clock do: `tick 3 vda net port cpus=1 1796000000`. It boots in 10 to 30 s under TCG.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { packInitramfs, takeKernel, unpackPackages } from "../guest/linux.js";

/** The cloud kernel has no drivers of sound, USB and old adapters. */
const KERNEL = "linux-image-amd64";

/** Drivers, with what they need. */
const MODULES = new Set(
  `virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_net net_failover failover virtio_blk
   virtio_scsi virtio_console virtio_rng rng_core virtio_balloon scsi_mod scsi_common sd_mod t10_pi crc_t10dif
   crct10dif_common crct10dif_generic crc64_rocksoft crc64 crc64_rocksoft_generic libata ata_piix ata_generic libahci
   ahci sym53c8xx scsi_transport_spi e1000 e1000e ptp pps_core usbcore usb_common uhci_hcd ehci_hcd ehci_pci xhci_hcd
   xhci_pci usb_storage usbhid hid hid_generic snd snd_pcm snd_timer soundcore snd_hda_intel snd_hda_codec snd_hda_core
   snd_hda_codec_generic snd_intel_dspcfg snd_intel_sdw_acpi snd_hwdep ledtrig_audio snd_ac97_codec ac97_bus
   snd_intel8x0 psmouse evdev cdrom sr_mod`.split(/\s+/u),
);

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev
depmod 2>/dev/null
for m in virtio_pci virtio_net virtio_blk virtio_scsi virtio_console virtio-rng virtio_balloon ata_piix ahci sym53c8xx \\
  sd_mod e1000 e1000e uhci-hcd ehci-pci xhci-pci usb-storage usbhid snd-hda-intel snd-intel8x0; do
  modprobe $m 2>/dev/null
done
sleep 2
for i in /sys/class/net/e*; do ifconfig $(basename $i) 10.0.2.15 up; done
n=0
while :; do
  n=$((n+1)); s=""
  for d in vda sda sdb sdc; do
    [ -b /dev/$d ] || continue
    dd if=/dev/$d of=/dev/null bs=4096 count=4 skip=$((n % 64)) iflag=direct 2>/dev/null && s="$s $d" || s="$s $d:FAILED"
  done
  if [ -e /sys/class/net/eth0 ]; then
    ping -c 1 -W 2 10.0.2.2 >/dev/null 2>&1 && s="$s net" || s="$s net:FAILED"
  fi
  for p in /dev/vport*; do
    [ -c $p ] || continue
    timeout 5 sh -c "echo $n > $p" && s="$s port" || s="$s port:FAILED"
  done
  echo "tick $n$s cpus=$(grep -c ^processor /proc/cpuinfo) $(date +%s)" > /dev/ttyS0
  sleep 0.3
done
`;

/** Kernel and initramfs in a folder; made where they are missing, from Debian's packages. Errors: io. */
export function tickingLinux(folder: string): { kernel: string; initrd: string } {
  const files = { kernel: join(folder, "vmlinuz"), initrd: join(folder, "initrd") };
  if (existsSync(files.kernel) && existsSync(files.initrd)) return files;
  mkdirSync(folder, { recursive: true });
  const root = join(folder, "root");
  unpackPackages(folder, KERNEL, ["busybox-static"], root);
  takeKernel(folder, files.kernel);
  const modules = join(folder, "kernel", "lib", "modules");
  for (const path of readdirSync(modules, { recursive: true, encoding: "utf8" })) {
    const name = basename(path, ".ko").replaceAll("-", "_");
    const needed = path.endsWith(".ko") ? MODULES.has(name) : /\/modules\.(?:builtin|order)$/u.test(path);
    if (!needed) continue;
    const to = join(root, "lib/modules", path);
    mkdirSync(dirname(to), { recursive: true });
    cpSync(join(modules, path), to);
  }
  for (const name of ["proc", "sys", "dev", "tmp"]) mkdirSync(join(root, name), { recursive: true });
  rmSync(join(root, "usr"), { recursive: true, force: true });
  writeFileSync(join(root, "init"), INIT, { mode: 0o755 });
  packInitramfs(root, files.initrd);
  renameSync(`${files.initrd}.partial`, files.initrd);
  for (const place of [root, join(folder, "kernel")]) rmSync(place, { recursive: true, force: true });
  return files;
}
