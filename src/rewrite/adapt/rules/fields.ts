import type { FieldRule } from "./types.js";

/**
 * Fields that are there or not by how the machine is made. Those that only the destination has come from the pattern
 * without a rule; a rule says why that is right, and which of the old fields it does not know.
 */
export const FIELD_RULES: readonly FieldRule[] = [
  {
    name: "smbus-state",
    vmsd: "piix4_pm",
    fields: ["smb"],
    weight: "unused",
    reason: "the SMBus host is saved since 4.0; before, a guest came to an idle one as well",
    between: ["3.1", "4.0"],
    source: "hw/acpi/piix4.c, smb_migration_enabled, 7.2 and 11.1",
  },
  {
    name: "smbus-state",
    vmsd: "ich9_smb",
    fields: ["smb", "irq_enabled"],
    weight: "unused",
    reason: "the SMBus host is saved since 4.0; before, a guest came to an idle one as well",
    between: ["3.1", "4.0"],
    source: "hw/i2c/smbus_ich9.c, smb_migration_enabled, 7.2 and 11.1",
  },
  {
    name: "globalstate",
    vmsd: "globalstate",
    fields: ["has_vm_was_suspended", "vm_was_suspended", "unused"],
    weight: "unused",
    reason: "the end of the 100 bytes of the run state's name, which say since 9.0 whether the guest sleeps",
    between: ["8.2", "9.0"],
    source: "migration/global_state.c, 7.2 and 11.1",
  },
  {
    name: "e1000e-time",
    vmsd: "e1000e",
    fields: ["core.timadj"],
    weight: "guest",
    reason: "what the guest set the adapter's clock (IEEE 1588) to is saved since 8.0",
    between: ["7.2", "8.0"],
    source: "hw/net/e1000e.c, property migrate-timadj, 7.2 and 11.1",
  },
  {
    name: "esp-command",
    vmsd: "esp",
    fields: ["ti_cmd", "mig_ti_cmd", "drq_state", "asc_mode"],
    weight: "unused",
    reason: "the chip's own course of a command: it is at rest, and begins anew with the next command",
    between: ["8.2", "9.0"],
    source: "hw/scsi/esp.c, 7.2 and 11.1",
  },
];

/** Fields that say how others are laid out: the destination's, since the others are written in its layout. */
export const LAYOUT_FIELDS: readonly FieldRule[] = [
  {
    name: "esp-version",
    vmsd: "pciespscsi",
    fields: ["esp.mig_version_id"],
    weight: "form",
    reason: "the version of the chip's state, which is written in the destination's",
    between: ["8.2", "9.0"],
    source: "hw/scsi/esp-pci.c and esp.c, 7.2 and 11.1",
  },
  {
    name: "vga-vbe",
    vmsd: "vga",
    fields: ["is_vbe_vmstate"],
    weight: "form",
    reason: "whether the state has the VBE registers, which it always has; isa-vga says so since 11.1",
    between: ["10.0", "11.1"],
    source: "hw/display/vga.c and vga-isa.c, 10.0 and 11.1",
  },
];
