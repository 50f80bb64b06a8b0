/** Null backends for the placeholders in explain's arguments: `drive=DRIVE0`, `-bios BIOS`, `file=FLASH0`, ... */
import type { Explanation } from "../../src/analyse/explain/index.js";

/** Empty firmware and flash files of a source's working folder, with their lengths. */
export const emptyFiles: Readonly<Record<string, number>> = {
  bios: 65536,
  flash0: 64 * 2 ** 20,
  flash1: 64 * 2 ** 20,
  flash32a: 32 * 2 ** 20,
  flash32b: 32 * 2 ** 20,
};

const KINDS: Readonly<Record<string, (id: string) => string[]>> = {
  DRIVE: (id) => ["-blockdev", `driver=null-co,node-name=${id},size=1048576,read-zeroes=on`],
  CHARDEV: (id) => ["-chardev", `null,id=${id}`],
  AUDIODEV: (id) => ["-audiodev", `none,id=${id}`],
  FSDEV: (id) => ["-fsdev", `synth,id=${id}`],
  MEMDEV: (id) => ["-object", `memory-backend-ram,id=${id},size=64K`],
  NETDEV: (id) => ["-netdev", `user,id=${id}`],
  TPMDEV: (id) => ["-chardev", `socket,id=chr-${id},path=$DIR/tpm`, "-tpmdev", `emulator,id=${id},chardev=chr-${id}`],
  CRYPTODEV: (id) => ["-object", `cryptodev-backend-builtin,id=${id}`],
};

const NAME = new RegExp(`\\b(?:${Object.keys(KINDS).join("|")})\\d+\\b`, "gu");

/** Size in bytes of the disks that a stream names: the maximum of the sources. */
const DISK_SIZE = 64 * 2 ** 20;

const image = (size: number): string => `driver=null-co,size=${size},read-zeroes=on`;

/** The arguments with placeholders replaced by null backends, and the files that they name. */
export function ownThings(
  { destination, inspection }: Pick<Explanation, "destination" | "inspection">,
  machine: string,
): { args: string[]; files: Record<string, Uint8Array> } {
  const line = destination.arguments;
  const length = (...names: string[]): number | undefined =>
    inspection.ram.blocks.find(({ block: name }) => names.includes(name))?.blockLength;
  const own = [...new Set(line.join(",").match(NAME) ?? [])].flatMap((id) => KINDS[id.replace(/\d+$/u, "")]!(id));
  const args = line.map((word) =>
    word
      .replace(/^TYPE\b/u, machine)
      .replace(/^BIOS$/u, "$DIR/bios")
      .replace(/\bfile=DISK\d+$/u, image(DISK_SIZE))
      .replace(/\bformat=raw,((?:readonly=on,|unit=\d,)*)file=FLASH(\d)$/u, (_, options: string, unit: string) => {
        const size = length(`system.flash${unit}`, `virt.flash${unit}`) ?? emptyFiles["flash0"]!;
        return options + image(size);
      }),
  );
  const files = line.includes("BIOS") ? { bios: Buffer.alloc(length("pc.bios") ?? emptyFiles["bios"]!) } : {};
  return { args: [...own, ...args], files };
}
