/** Which Debian suite has which QEMU. */

/** One QEMU to have beside the others. */
export interface Suite {
  /** `major.minor` of its QEMU. */
  readonly version: string;
  /** Suite that debootstrap installs; also the name of the folder, with "-backports" where that is used. */
  readonly suite: string;
  /** Whether QEMU comes from the suite's backports. */
  readonly backports: boolean;
  /** Packages beside its QEMU, for what newer ones keep in modules: QXL. */
  readonly modules?: readonly string[];
}

const SPICE = ["qemu-system-modules-spice"];

/** The four versions that everything here is held against. A version that the machine has already is not installed again. */
export const suites: readonly Suite[] = [
  { version: "5.2", suite: "bullseye", backports: false },
  { version: "7.2", suite: "bookworm", backports: false },
  { version: "10.0", suite: "trixie", backports: false, modules: SPICE },
  { version: "11.1", suite: "trixie", backports: true, modules: SPICE },
];

/** The folder of a suite in the folder of chroots. */
export function folderName({ suite, backports }: Suite): string {
  return backports ? `${suite}-backports` : suite;
}
