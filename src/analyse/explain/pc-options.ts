/** What machine types of PCs have of themselves: options for a guest that has more, or less. */
import type { Survey } from "./survey.js";

const KIB = 1024;

/**
 * Lengths of the block that QEMU's own firmware files give: bios-256k.bin; bios.bin for isapc and machine types up to
 * 1.7; qboot.rom or bios-microvm.bin, which are links to one another in some distributions.
 * Source: QEMU hw/i386/pc_piix.c, microvm.c, pc-bios/ (5.2 to 11.1).
 */
function usualBios({ inspection, configuration }: Survey): number[] {
  const machine = configuration?.value.machine;
  if (machine === "microvm") return [64 * KIB, 128 * KIB];
  if (machine === "isapc" || /^pc-(?:i440fx-)?[01]\./u.test(machine ?? "")) return [128 * KIB];
  // Without a name it is one up to 2.3.
  return machine === undefined && inspection.footers === false ? [128 * KIB, 256 * KIB] : [256 * KIB];
}

/** Firmware by -bios, where it is not of the usual length, and in pflash. */
export function firmwareArguments(survey: Survey, notes: string[]): string[] {
  const { blocks } = survey;
  const bios = blocks.get("pc.bios");
  const found: string[] = [];
  const usual = usualBios(survey);
  if (bios !== undefined && !usual.includes(bios.length)) {
    notes.push(`block "pc.bios" is ${bios.length} bytes: -bios needs a file of that length`);
    found.push("-bios", "BIOS");
  } else if (bios !== undefined && usual.length > 1) {
    notes.push(
      `block "pc.bios" is ${bios.length} bytes: where QEMU's own firmware is not, -bios needs a file of that length`,
    );
  }
  for (const unit of [0, 1]) {
    const flash = blocks.get(`system.flash${unit}`);
    if (flash === undefined) continue;
    const readonly = unit === 0 && blocks.has("system.flash1") ? ",readonly=on" : "";
    found.push("-drive", `if=pflash,unit=${unit},format=raw${readonly},file=FLASH${unit}`);
    notes.push(
      `block "system.flash${unit}": firmware in pflash; FLASH${unit} stands for a file of ${flash.length} bytes`,
    );
  }
  return found;
}

/**
 * PIIX4's state has a place for each bus, or for the root bus alone where hot plug behind bridges is off, as machine
 * types up to 1.6 have it.
 * Source: QEMU hw/acpi/piix4.c (5.2 to 11.1).
 */
export function hotplugArguments({ devices, configuration }: Survey): string[] {
  const state = devices.find(({ name }) => name === "0000:00:01.3/piix4_pm")?.state;
  const old = /^pc-(?:i440fx-)?[01]\./u.test(configuration?.value.machine ?? "pc-1.");
  return state === undefined || old || "acpi_pci_hotplug.hotplug_select" in state.fields
    ? []
    : ["-global", "PIIX4_PM.acpi-pci-hotplug-with-bridge-support=off"];
}

/** What a PC has by default, and this one has not; only for a stream that was read completely. */
export function pcOptions({ devices, damage, eof, inspection, configuration }: Survey): string[] {
  const machine = configuration?.value.machine ?? "";
  if (damage.length > 0 || eof === undefined || devices.length === 0 || inspection.undecoded.length > 0) return [];
  const names = new Set(devices.map(({ name }) => name));
  const lacks = (name: string): boolean => !names.has(name);
  if (machine === "microvm") {
    const ioapics = devices.filter(({ name }) => name === "ioapic").length;
    return [
      ...(lacks("acpi-ged") ? ["acpi=off"] : []),
      ...(lacks("i8254") ? ["pit=off"] : []),
      ...(lacks("i8259") ? ["pic=off"] : []),
      ...(lacks("mc146818rtc") ? [] : ["rtc=on"]),
      // The second one is there with ACPI alone.
      ...(ioapics < 2 && !lacks("acpi-ged") ? ["ioapic2=off"] : []),
      ...(lacks("0000:00:00.0/gpex_root") ? [] : ["pcie=on"]),
      ...(lacks("xhci-sysbus") ? [] : ["usb=on"]),
    ];
  }
  if (!/^pc-(?:i440fx|q35)-/u.test(machine)) return [];
  const q35 = names.has("0000:00:00.0/mch");
  return [
    ...(lacks("hpet") ? ["hpet=off"] : []),
    ...(lacks("vmmouse") ? ["vmport=off"] : []),
    ...(lacks("i8254") ? ["pit=off"] : []),
    ...(q35 && lacks("0000:00:1f.2/ich9_ahci") ? ["sata=off"] : []),
    ...(q35 && lacks("0000:00:1f.3/ich9_smb") ? ["smbus=off"] : []),
    ...(!q35 && lacks("0000:00:01.3/piix4_pm") ? ["acpi=off"] : []),
  ];
}
