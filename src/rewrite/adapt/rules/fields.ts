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
];
