/**
 * Finds the QEMU binaries of this machine: the one on PATH, and those in chroots of other distributions. The chroots
 * are listed in `QEVM_QEMU_ROOTS=dir:dir`, or are all in one folder, `QEVM_QEMU_DIR`, by default the folder of `npm run
 * test:versions`. Nothing is installed here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** A program that can be started as a source or a destination. */
export interface QemuBinary {
  /** `major.minor`, e.g. "7.2", which determines machine types and wire format. */
  readonly version: string;
  /** The first line of `--version`, with the distribution's package version. */
  readonly banner: string;
  /** The program's root folder (a chroot); undefined for the machine's own. */
  readonly root: string | undefined;
  /** Program and leading arguments that start it. */
  readonly command: readonly string[];
}

/** The default program. */
export const usualProgram = "qemu-system-x86_64";

const known = new Map<string, readonly QemuBinary[]>();

/**
 * Every QEMU of that name, the machine's own first; the first one of each version. Cached per process, unless `anew`.
 */
export function findQemus(anew = false, program = usualProgram): readonly QemuBinary[] {
  if (anew) known.delete(program);
  let found = known.get(program);
  if (found === undefined) {
    found = [undefined, ...chroots(program)]
      .flatMap((root) => probe(root, program))
      .filter(({ version }, index, all) => all.findIndex((other) => other.version === version) === index);
    known.set(program, found);
  }
  return found;
}

/** The folder of chroots with one QEMU each. */
export function qemuFolder(): string {
  const { QEVM_QEMU_DIR: folder, QEVM_QEMU_CHROOTS: older, XDG_CACHE_HOME: cache } = process.env;
  return folder ?? older ?? join(cache ?? join(homedir(), ".cache"), "qevm", "qemu");
}

/** The binary of one `major.minor` (and program, for other targets), or undefined when it is not installed. */
export function findQemu(version: string, program = usualProgram): QemuBinary | undefined {
  return findQemus(false, program).find((qemu) => qemu.version === version);
}

/** The folder for working folders of this binary, in the host's view. */
export function workRoot(qemu: QemuBinary): string {
  return qemu.root === undefined ? tmpdir() : join(qemu.root, "tmp");
}

/** A path in the program's view. */
export function innerPath(qemu: QemuBinary, path: string): string {
  if (qemu.root === undefined) return path;
  return path.startsWith(qemu.root) ? path.slice(qemu.root.length) || "/" : path;
}

function chroots(program: string): string[] {
  const named = (process.env["QEVM_QEMU_ROOTS"] ?? "").split(delimiter).filter((path) => path !== "");
  const folder = qemuFolder();
  const found = existsSync(folder)
    ? readdirSync(folder)
        .toSorted()
        .map((name) => join(folder, name))
    : [];
  return [...named, ...found]
    .map((path) => path.replace(/\/+$/u, ""))
    .filter((path) => existsSync(join(path, "usr/bin", program)));
}

function probe(root: string | undefined, program: string): QemuBinary[] {
  const command = root === undefined ? [program] : ["chroot", root, program];
  const [file = program, ...rest] = command;
  const run = spawnSync(file, [...rest, "--version"], { encoding: "utf8", timeout: 20_000 });
  const banner = run.status === 0 ? (run.stdout.split("\n")[0] ?? "").trim() : "";
  const version = /version (\d+\.\d+)/u.exec(banner)?.[1];
  return version === undefined ? [] : [{ version, banner, root, command }];
}
