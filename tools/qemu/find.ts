/**
 * Finds the QEMU binaries of this machine: the one on PATH, and those in chroots of other distributions: named one by one in
 * `QEVM_QEMU_ROOTS=dir:dir`, or all in one folder, `QEVM_QEMU_DIR`, by default where `npm run test:versions` puts them.
 * Nothing is installed here.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, join } from "node:path";

/** One program that can be started as a source or a destination. */
export interface QemuBinary {
  /** `major.minor`, for example "7.2": what machine types and wire format go by. */
  readonly version: string;
  /** The first line of `--version`, with the distribution's package version. */
  readonly banner: string;
  /** Folder that becomes `/` for the program; undefined for the machine's own. */
  readonly root: string | undefined;
  /** Program and leading arguments that start it. */
  readonly command: readonly string[];
}

/** The program that is meant where none is named. */
export const usualProgram = "qemu-system-x86_64";

const known = new Map<string, readonly QemuBinary[]>();

/** Every QEMU of that name found, the machine's own first; of two with one version the first. Asked once a process, or `anew`. */
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

/** The folder whose folders are chroots with a QEMU each. */
export function qemuFolder(): string {
  const { QEVM_QEMU_DIR: folder, QEVM_QEMU_CHROOTS: older, XDG_CACHE_HOME: cache } = process.env;
  return folder ?? older ?? join(cache ?? join(homedir(), ".cache"), "qevm", "qemu");
}

/** The binary of one `major.minor` (and program, for other targets), or undefined when this machine has none. */
export function findQemu(version: string, program = usualProgram): QemuBinary | undefined {
  return findQemus(false, program).find((qemu) => qemu.version === version);
}

/** Folder, seen from outside, in which working folders for this binary are made. */
export function workRoot(qemu: QemuBinary): string {
  return qemu.root === undefined ? tmpdir() : join(qemu.root, "tmp");
}

/** A path as the program itself sees it. */
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
