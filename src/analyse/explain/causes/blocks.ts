/**
 * Texts about RAM blocks. Source: QEMU migration/ram.c, system/physmem.c (before: exec.c, softmmu/physmem.c) (5.2 to
 * 11.1).
 */
import { damageNote, elsewhere, type Answer, type Context, type KnownText, type Parts } from "../context.js";
import { backendFor, idName, isOfDevice, sizeText } from "../memory-arguments.js";
import { pciPlace } from "../pci.js";
import type { Remedy } from "../types.js";
import { at, quoted, some } from "../words.js";
import { plainName } from "../../../guest/files/file-names.js";
import { isId, optionValue } from "../names.js";

/**
 * What the file has of a block: its length and where the block list has it.
 * @param absent is added where the file has no such block
 */
export function blockIn(name: string, { survey }: Context, absent = ""): string {
  const found = survey.blocks.get(name);
  if (found === undefined) return `this file has no block ${quoted(name)}${absent}`;
  const { length, offset } = found;
  const where = offset === undefined ? "" : `, in the block list ${at(offset)}`;
  return `this file has block ${quoted(name)} of ${length} bytes (${sizeText(length)})${where}`;
}

/** "Unknown ramblock "x", cannot accept migration". */
export function unknownBlock({ block = "" }: Parts, context: Context): Answer {
  const { blocks } = context.survey;
  const found = blocks.get(block);
  const near = `; it has ${some([...blocks.keys()].map(quoted), 6)}${elsewhere(context)}`;
  return {
    about: { block, value: found?.length, streamOffset: found?.offset },
    here: blocks.size === 0 ? damageNote(context) : blockIn(block, context, near),
    why: "that QEMU has no RAM block of this name. A block belongs to a device, a memory backend or the machine: that is what is missing, or has another name or place there",
    remedies: found && blockRemedies(block, found.length, context),
  };
}

/** Options that create a block, inferred from its name. */
function blockRemedies(block: string, length: number, { destination, survey }: Context): Remedy[] {
  const place = pciPlace(block);
  const ours = place === undefined ? [] : destination.devices.filter(({ place: path }) => path === place.path);
  if (ours.length > 0) {
    const rom = block.endsWith(".rom") ? ", with its option ROM (no romfile=)" : "";
    return [
      {
        what: `it is memory of the device at ${place!.path}${rom}: give the destination the device`,
        arguments: ours.flatMap(({ argument }) => ["-device", argument]),
      },
    ];
  }
  if (place !== undefined)
    return [
      {
        what: `it is memory of a device at PCI address ${place.path}: give the destination the device that the source had there`,
      },
    ];
  if (/^system\.flash\d$/u.test(block))
    return [
      {
        what: "the source had its firmware in pflash: give the destination the same",
        arguments: ["-drive", `if=pflash,unit=${block.slice(-1)},format=raw,file=FIRMWARE`],
      },
    ];
  if (block === "pc.bios")
    return [{ what: "the source had its firmware by -bios or the default, not in pflash: leave -drive if=pflash out" }];
  if (isOfDevice(block)) return [];
  if (!isId(idName(block))) return [];
  const main = [...survey.blocks.keys()].some((name) => /^(?:pc|microvm|mach-virt)\.ram$/u.test(name));
  const object = ["-object", backendFor(block, length)];
  return [
    main
      ? {
          what: "it is a memory backend of that id beside the main memory: the backend, and the memory device that it was plugged into (pc-dimm, nvdimm, virtio-mem-pci; hot-plugged ones too). -m needs slots= and maxmem=",
          arguments: [...object, "-device", `pc-dimm,memdev=${idName(block)}`],
        }
      : {
          what: "it is a memory backend of that id, which main memory is made of (-machine memory-backend=ID, or -numa node,memdev=ID for each of several)",
          arguments: object,
        },
  ];
}

/**
 * The guest's own ROM, taken from the stream: it has the block's length, which the host's ROM file does not. (romsize=
 * makes room for a smaller file, and does not cut a larger one.)
 */
function romRemedies(block: string, argument: string, file: string): Remedy[] {
  return [
    {
      what: "it is the device's option ROM: take the guest's own out of the stream",
      command: ["qevm", "extract", file, "--out", "DIR", "--format", "blocks"],
    },
    {
      what: "and give the device that file",
      arguments: ["-device", `${argument},romfile=DIR/${optionValue(plainName(block))}`],
    },
  ];
}

/** "Size mismatch: x: 0xa != 0xb", "Length mismatch: x: 0xa in != 0xb", "Size too large: x: 0xa > 0xb". */
export function sizeMismatch({ block = "", received = "0", local = "0" }: Parts, context: Context): Answer {
  const found = context.survey.blocks.get(block);
  const [theirs, ours] = [Number(received), Number(local)];
  return {
    about: { block, value: found?.length ?? theirs, local: ours, streamOffset: found?.offset },
    here: [
      blockIn(block, context),
      found !== undefined && found.length !== theirs && `the text says ${theirs} bytes: it is about another file`,
    ],
    why: `the destination's block is of ${ours} bytes (${sizeText(ours)}); a block is taken only at the length that it has, but for a few that can be resized (ACPI tables)`,
    remedies: sizeRemedies(block, found?.length ?? theirs, context),
  };
}

/** What gives the destination's block this length in bytes. */
function sizeRemedies(block: string, length: number, { destination, file }: Context): Remedy[] {
  const place = pciPlace(block);
  const device = place && destination.devices.find(({ place: path }) => path === place.path);
  if (block === "pc.bios")
    return [
      { what: `give the destination a firmware file of ${length} bytes: the source's`, arguments: ["-bios", "BIOS"] },
    ];
  if (device !== undefined && block.endsWith(".rom")) return romRemedies(block, device.argument, file);
  if (device !== undefined)
    return [
      {
        what: `it is memory of the device at ${place!.path}: give it as much memory as the source's`,
        arguments: ["-device", device.argument],
      },
    ];
  if (isOfDevice(block))
    return [{ what: "it is firmware or memory of a device: use the file or the size that the source had" }];
  if (/(?:^|\.)ram$/u.test(block))
    return [{ what: "give the destination the source's memory size", arguments: ["-m", sizeText(length)] }];
  if (!isId(idName(block))) return [];
  return [{ what: "give the backend that size", arguments: ["-object", backendFor(block, length)] }];
}

/** A text about a block that is not the same at both ends. */
function blockDiffers(why: string, what: string): KnownText["explain"] {
  return ({ block = "", received = "", local = "" }, context) => ({
    about: { block, value: received, local, streamOffset: context.survey.blocks.get(block)?.offset },
    here: blockIn(block, context),
    why,
    remedies: { what },
  });
}

/** "Mismatched GPAs for block x A != B". */
export const addresses = blockDiffers(
  "with x-ignore-shared a shared block must lie at the same address at both ends",
  "give the destination the same memory sizes and devices, in the same order",
);

/** "Mismatched RAM page size x (local) A != B". */
export const blockPageSize = blockDiffers(
  "for postcopy the memory of a block must have pages of one size at both ends (huge pages, or not)",
  "give the destination a memory backend with the source's page size",
);
