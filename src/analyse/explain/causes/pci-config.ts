/**
 * The text about a PCI configuration space that differs. Source: QEMU hw/pci/pci.c get_pci_config_device (5.2 to 11.1);
 * the PCI specification.
 */
import { hex } from "../../../bytes/errors.js";
import { deviceNamed, type Answer, type Context, type Parts } from "../context.js";
import { configByte } from "../fields.js";
import { pciIdentity } from "../pci.js";
import { at } from "../words.js";
import { deviceWords, remediesFor } from "./devices.js";

const ANOTHER = "another device is there";
const ABILITIES = "the device has other abilities";
const BAR = "the device's BAR has another size or type: its memory, vectors or I/O ports differ";

/** Registers of a PCI configuration space by their first byte: name, and what sets it. */
const REGISTERS: readonly [number, string, string][] = [
  [0x00, "the vendor id", ANOTHER],
  [0x02, "the device id", ANOTHER],
  [0x04, "the command register", ABILITIES],
  [0x06, "the status register", ABILITIES],
  [0x08, "the revision", "the device is of another revision"],
  [0x09, "the class code", ANOTHER],
  [0x0c, "cache line size and latency", ABILITIES],
  [0x0e, "the header type", "the device is a bridge or has several functions at one end only"],
  [0x10, "base address register 0", BAR],
  [0x14, "base address register 1", BAR],
  [0x18, "base address register 2", BAR],
  [0x1c, "base address register 3", BAR],
  [0x20, "base address register 4", BAR],
  [0x24, "base address register 5", BAR],
  [0x28, "the CardBus pointer", ANOTHER],
  [0x2c, "the subsystem ids", "another device is there, or one of another machine type"],
  [0x30, "the ROM base address", "the option ROM has another size, or one end has none (romfile=)"],
  [0x34, "the pointer to capabilities", "the device has other PCI capabilities (MSI, MSI-X, PCI Express)"],
  [0x35, "reserved bytes", ANOTHER],
  [0x3c, "interrupt line and pin", "the device has another interrupt pin"],
  [
    0x40,
    "PCI capabilities or registers of its own",
    "the device has other PCI capabilities, or more or fewer MSI-X vectors",
  ],
  [
    0x100,
    "extended capabilities of PCI Express",
    "the device has other extended capabilities, or (its serial number) another MAC address",
  ],
];

const byteOf = (text: string): number => Number.parseInt(text, 16);

/** "get_pci_config_device: Bad config data: i=0x10 read: a1 device: 1 cmask: ff wmask: c0 w1cmask:0". */
export function pciConfig(
  { index = "0", read = "0", local = "0", cmask = "0", wmask = "0", w1cmask = "0" }: Parts,
  context: Context,
): Answer {
  const i = byteOf(index);
  const [, register = "", cause = ""] = REGISTERS.findLast(([start]) => start <= i) ?? [];
  const device = deviceNamed(context);
  const identity = pciIdentity(device?.state);
  const stored = identity === undefined ? undefined : configByte(identity.registers, i);
  const compared = byteOf(cmask) & ~byteOf(wmask) & ~byteOf(w1cmask);
  const differs = (byteOf(read) ^ byteOf(local)) & compared;
  // The payload begins with be32 version_id; the configuration space follows.
  const offset = device === undefined || stored !== byteOf(read) ? undefined : device.payload + 4 + i;
  const here =
    device === undefined
      ? ["the text does not say which device: a line with \"of device '...'\" would"]
      : [deviceWords(device)];
  if (identity !== undefined)
    here.push(`the device in the file is ${identity.id}, class 0x${identity.class.toString(16)}`);
  if (stored !== undefined) {
    here.push(
      `byte 0x${i.toString(16)} of its PCI configuration space, ${register}, is ${hex(stored)}${offset === undefined ? ": the text is about another file" : `, ${at(offset)}`}`,
    );
  }
  const why = [
    `byte 0x${i.toString(16)} is of ${register}, and must be equal at both ends in the bits ${hex(compared)}: received ${hex(byteOf(read))}, the destination's device has ${hex(byteOf(local))} (differing bits ${hex(differs)})`,
    cause,
  ];
  return {
    about: {
      section: device?.name,
      instance: device?.instance,
      field: `config[${hex(i)}]`,
      streamOffset: offset,
      value: hex(byteOf(read)),
      local: hex(byteOf(local)),
    },
    here,
    why,
    remedies: remediesFor(device, context),
  };
}
