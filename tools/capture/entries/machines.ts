/** Machine types and their framing. */
import { entry, type Entry, type Recipe } from "../entry.js";
import { bare, booting, direct, fillDisk, fillFirmware, words } from "./parts.js";

const off = (name: string): string[] => ["-global", `migration.${name}=off`];

/** An old machine type with the fill guest. */
const old = (machine: string, shows: string): Recipe => ({
  name: machine.replace("pc-i440fx-", "pc-").replace("pc-q35", "q35"),
  shows,
  args: direct(machine),
  files: [fillFirmware],
  until: "guest",
});

const recipes: readonly Recipe[] = [
  { name: "pc-firmware", shows: "pc with its default devices, firmware only", args: words("-machine pc -m 8") },
  { name: "pc-never-run", shows: "pc that never ran (`-S`)", args: [...bare("pc"), "-S"], until: "nothing" },
  {
    name: "pc-fill",
    shows: "pc with a guest that filled memory with known patterns and halted",
    args: booting("pc", 16),
    files: [fillDisk],
    until: "guest",
  },
  { name: "q35-firmware", shows: "q35 with its default devices, firmware only", args: words("-machine q35 -m 8") },
  { name: "microvm-firmware", shows: "microvm, firmware only", args: words("-machine microvm -m 8 -nodefaults") },
  { name: "isapc-bare", shows: "isapc without display, firmware only", args: words("-machine isapc -m 8 -nodefaults") },
  {
    name: "isapc-firmware",
    shows: "isapc with its default devices, firmware only",
    args: words("-machine isapc -m 8"),
    notLoadable: "QEMU 7.2's own loader asserts on the state of ISA VGA (memory_region_set_alias_offset)",
  },
  {
    name: "machine-none",
    shows: "`-machine none`: RAM, timer and globalstate only",
    args: words("-machine none -m 4 -nodefaults"),
    until: "nothing",
  },
  {
    name: "machine-none-tiny",
    shows: "`-machine none` with 64 KiB, for tests that take every prefix",
    args: words("-machine none -m 64K -nodefaults"),
    until: "nothing",
  },
  old("pc-i440fx-1.4", "machine type 1.4: the oldest that 7.2 has; no configuration section, no footers"),
  {
    ...old("pc-i440fx-2.3", "machine type 2.3: the last without configuration section and footers; SeaBIOS"),
    args: booting("pc-i440fx-2.3"),
    files: [fillDisk],
  },
  old("pc-i440fx-2.4", "machine type 2.4: the first with configuration section and footers"),
  old("pc-i440fx-2.12", "machine type 2.12: VRAM named without its PCI path, decompress-error-check off"),
  old("pc-i440fx-4.2", "machine type 4.2"),
  old("pc-i440fx-6.2", "machine type 6.2"),
  old("pc-q35-2.6", "q35 of 2.6"),
  old("pc-q35-5.0", "q35 of 5.0"),
  {
    name: "footers-off",
    shows: "a current machine type without section footers",
    args: [...direct("pc"), ...off("send-section-footer")],
    files: [fillFirmware],
    until: "guest",
  },
  {
    name: "configuration-off",
    shows: "a current machine type without configuration section",
    args: [...direct("pc"), ...off("send-configuration")],
    files: [fillFirmware],
    until: "guest",
  },
  {
    name: "framing-off",
    shows: "`-machine none` without configuration, footers and globalstate",
    args: [
      ...words("-machine none -m 1 -nodefaults"),
      ...off("send-configuration"),
      ...off("send-section-footer"),
      ...off("store-global-state"),
    ],
    until: "nothing",
  },
  {
    name: "suppress-vmdesc",
    shows: "no VMDESCRIPTION behind the sections",
    args: direct("pc,suppress-vmdesc=on"),
    files: [fillFirmware],
    until: "guest",
  },
  {
    name: "validate-uuid",
    shows: "configuration section with capabilities and uuid",
    args: [...direct("pc"), ...words("-uuid 6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab")],
    files: [fillFirmware],
    until: "guest",
    capabilities: ["validate-uuid"],
  },
];

/** Entries of this list. */
export const machineEntries: readonly Entry[] = recipes.map(entry);
