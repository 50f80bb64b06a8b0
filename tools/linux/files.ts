/** A guest's kernel, its symbols and its first file system, from Debian's packages and kept in one folder. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import { cpio } from "./cpio.js";
import type { System } from "./systems.js";

export interface SystemFiles {
  readonly kernel: string;
  readonly initrd: string;
  /** The kernel with its symbols; undefined where they are not asked for. */
  readonly vmlinux: string | undefined;
}

/** Processes with names of their own: one runs in user mode on a CPU, the others sleep. */
const INIT = `#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox test -f /qemu_fw_cfg.ko && /bin/busybox insmod /qemu_fw_cfg.ko
echo "the judge reads this line" > /dev/kmsg
/bin/busybox sleep 12345 &
/bin/busybox tail -f /proc/version > /dev/null &
while :; do :; done &
/bin/busybox sleep 3
echo "the guest is ready" > /dev/console
while :; do /bin/busybox sleep 1000; done
`;

/** The folder of all guests: `QEVM_GUESTS_DIR`, or one in the user's cache. */
function guestsFolder(): string {
  const { QEVM_GUESTS_DIR: folder, XDG_CACHE_HOME: cache } = process.env;
  return folder ?? join(cache ?? join(homedir(), ".cache"), "qevm", "guests");
}

/**
 * The files of a system, made where they are missing: 50 to 120 MB are fetched, with `symbols` (x86_64) 860 MB. Errors:
 * io, with the output of the failed program.
 */
export function systemFiles(system: System, symbols: boolean): SystemFiles {
  const folder = join(guestsFolder(), system.kernel);
  const kernel = join(folder, "kernel");
  const initrd = join(folder, "initrd");
  const vmlinux = join(folder, "vmlinux");
  const wanted = symbols && system.symbols === true;
  if (!existsSync(kernel) || !existsSync(initrd) || (wanted && !existsSync(vmlinux))) {
    make(system, folder, { kernel, initrd, vmlinux: wanted ? vmlinux : undefined });
  }
  return { kernel, initrd, vmlinux: wanted ? vmlinux : undefined };
}

function make(system: System, folder: string, files: SystemFiles): void {
  const work = join(folder, "work");
  rmSync(work, { recursive: true, force: true });
  const [packages, root, unpacked] = ["packages", "root", "kernel"].map((name) => join(work, name)) as [
    string,
    string,
    string,
  ];
  for (const place of [packages, root, unpacked]) mkdirSync(place, { recursive: true });
  const apt = aptOf(system, work);
  run("apt-get", [...apt, "update"], work);
  const depends = run("apt-cache", [...apt, "depends", `${system.kernel}:${system.debian}`], work);
  const image = /Depends: (linux-image-[^\s:]+)/u.exec(depends)?.[1];
  if (image === undefined) throw new QevmError("io", `apt-cache names no kernel that ${system.kernel} depends on`);
  const names = [image, "busybox-static", ...(files.vmlinux === undefined ? [] : [`${image}-dbg`])];
  run("apt-get", [...apt, "download", ...names.map((name) => `${name}:${system.debian}`)], packages);
  for (const name of readdirSync(packages)) {
    const target = name.startsWith("busybox") ? root : unpacked;
    if (name.includes("-dbg_")) {
      // The package has the symbols of all modules too.
      const script = 'dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" ./usr/lib/debug/boot';
      run("sh", ["-c", script, "sh", name, target], packages);
    } else run("dpkg-deb", ["-x", name, target], packages);
  }
  const boot = join(unpacked, "boot");
  const found = readdirSync(boot).find((name) => /^vmlinu[xz]-/u.test(name));
  if (found === undefined) throw new QevmError("io", `no kernel in ${image}`);
  if (files.vmlinux !== undefined) {
    renameSync(join(unpacked, "usr/lib/debug/boot", found.replace("vmlinuz", "vmlinux")), files.vmlinux);
  }
  const find = (under: string, name: string): string => run("find", [under, "-name", name, "-type", "f"], work).trim();
  const module = find(unpacked, "qemu_fw_cfg.ko");
  const busybox = ["bin/busybox", "usr/bin/busybox"].map((name) => join(root, name)).find((name) => existsSync(name));
  if (busybox === undefined) throw new QevmError("io", "no busybox in busybox-static");
  const contents = [
    { name: "bin", mode: 0o40_755, content: new Uint8Array(0) },
    { name: "bin/busybox", mode: 0o100_755, content: readFileSync(busybox) },
    { name: "init", mode: 0o100_755, content: Buffer.from(INIT) },
    ...(module === "" ? [] : [{ name: "qemu_fw_cfg.ko", mode: 0o100_644, content: readFileSync(module) }]),
  ];
  writeFileSync(files.initrd, cpio(contents));
  renameSync(join(boot, found), files.kernel);
  rmSync(work, { recursive: true, force: true });
}

/** apt with lists of its own for another architecture, from the mirror that this machine uses. */
function aptOf({ debian, suite }: System, work: string): string[] {
  const mirror = run("apt-get", ["indextargets", "--format", "$(SITE)"], work).split("\n")[0];
  if (mirror === undefined || mirror === "") throw new QevmError("io", "apt has no lists: run apt-get update");
  const at = (name: string): string => join(work, "apt", name);
  for (const place of ["lists/partial", "cache/archives/partial"]) mkdirSync(at(place), { recursive: true });
  const keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
  writeFileSync(at("sources.list"), `deb [arch=${debian} signed-by=${keys}] ${mirror} ${suite} main\n`);
  writeFileSync(at("status"), "");
  const options = [
    "APT::Sandbox::User=root",
    `APT::Architecture=${debian}`,
    `APT::Architectures=${debian}`,
    `Dir::State=${at("")}`,
    `Dir::State::lists=${at("lists")}`,
    `Dir::State::status=${at("status")}`,
    `Dir::Cache=${at("cache")}`,
    `Dir::Etc::sourcelist=${at("sources.list")}`,
    "Dir::Etc::sourceparts=/dev/null",
  ];
  return ["-q", ...options.flatMap((option) => ["-o", option])];
}

/** Runs a program and returns what it prints. Errors: io, with its last lines. */
export function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8", maxBuffer: 1 << 28 });
  if (status === 0) return stdout;
  const said = error?.message ?? stderr.trim().split("\n").slice(-4).join("\n  ");
  throw new QevmError("io", `${program} ${args.slice(-1).join("")}: ${said}`);
}
