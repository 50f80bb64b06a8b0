/** The Debian suite of each QEMU. */

/** One QEMU to install. */
export interface Suite {
  /** `major.minor` of its QEMU. */
  readonly version: string;
  /** Suite that debootstrap installs; also the name of the folder, with "-backports" where that is used. */
  readonly suite: string;
  /** Whether QEMU comes from the suite's backports. */
  readonly backports: boolean;
  /** Packages besides QEMU, for parts that newer versions have in modules: QXL. */
  readonly modules?: readonly string[];
}

const SPICE = ["qemu-system-modules-spice"];

/**
 * The four versions that everything is checked against. A version that the machine already has is not installed again.
 */
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
