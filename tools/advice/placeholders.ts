/** Null backends for the placeholders in explain's arguments: `drive=DRIVE0`, `-bios BIOS`, ... */

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
  FSDEV: (id) => ["-fsdev", `local,path=$DIR,id=${id},security_model=none`],
  MEMDEV: (id) => ["-object", `memory-backend-ram,id=${id},size=64K`],
  NETDEV: (id) => ["-netdev", `user,id=${id}`],
  BMC: (id) => ["-device", `ipmi-bmc-sim,id=${id}`],
  CRYPTODEV: (id) => ["-object", `cryptodev-backend-builtin,id=${id}`],
};

/** The arguments with their placeholders replaced. */
export function backends(args: readonly string[]): string[] {
  const found = new Set(args.join(" ").match(/\b(?:DRIVE|CHARDEV|AUDIODEV|FSDEV|MEMDEV|NETDEV|BMC|CRYPTODEV)\d+/gu));
  const made = [...found].flatMap((id) => KINDS[id.replace(/\d+$/u, "")]!(id));
  return [...made, ...args.map(fillIn)];
}

/** A word with its placeholders replaced by files. */
function fillIn(word: string): string {
  if (word === "BIOS") return "$DIR/bios";
  const [, unit] = /^if=pflash,format=raw,unit=\d,file=FLASH(\d)$/u.exec(word) ?? [];
  return unit === undefined ? word : `if=pflash,unit=${unit},driver=null-co,size=64M,read-zeroes=on`;
}
