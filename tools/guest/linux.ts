/**
 * A Linux guest of 1 GiB or more for measurements: Debian's kernel, its programs and libraries in the page cache, and
 * processes whose memory holds Python and Perl data. Everything comes from Debian's packages and is kept in one folder,
 * so that the guest boots once per machine.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import type { QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";

/** A saved guest and the arguments of a machine that loads it. */
export interface LinuxGuest {
  /** The stream that QEMU wrote: plain pages, the guest stopped. */
  readonly stream: string;
  readonly args: readonly string[];
}

const KERNEL = "linux-image-cloud-amd64";

/** The guest's contents besides the kernel: about 260 MB of programs, libraries, tables and texts. */
const PACKAGES: readonly string[] = [
  "busybox-static",
  "git",
  "libbz2-1.0",
  "libc6",
  "libcrypt1",
  "libexpat1",
  "libffi8",
  "libgcc-s1",
  "libicu72",
  "libllvm14",
  "liblzma5",
  "libpcre2-8-0",
  "libpython3.11-minimal",
  "libpython3.11-stdlib",
  "libssl3",
  "libstdc++6",
  "perl-base",
  "perl-modules-5.36",
  "python3.11-minimal",
  "zlib1g",
];

/** Time limit for the guest's boot and work, in milliseconds: software emulation is slow. */
const BOOT = 600_000;

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /tmp /run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o size=95% tmp /tmp
python3.11 /heap.py &
perl /heap.pl &
find /usr -type f | head -3000 | xargs cat | gzip -1 | head -c 25000000 > /tmp/archive.gz
(find / -xdev -type f | xargs ls -l; dmesg; cat /proc/*/maps) > /tmp/listing
sort /tmp/listing > /tmp/sorted
free() { awk '/MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }
while [ -n "$keep" ] && [ $(free) -gt "$keep" ]; do cp -r /usr /tmp/copy$(free); done
while [ ! -e /run/python -o ! -e /run/perl ]; do sleep 1; done
echo the guest is ready > /dev/ttyS0
while :; do sleep 1000; done
`;

const PYTHON = `
import os, time, random
random.seed(7)
words, texts, table = {}, [], []
for folder, _, names in os.walk("/usr/lib/python3.11"):
    for name in names:
        if not name.endswith(".py"): continue
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file: text = file.read()
        texts.append(text)
        for word in text.split(): words[word] = words.get(word, 0) + 1
for i in range(150000): table.append({"id": i, "name": "row %d" % i, "value": random.random()})
noise = bytearray(os.urandom(1 << 20)) * 4
open("/run/python", "w").close()
while True: time.sleep(1000)
`;

const PERL = `
my (%lines, @all);
for my $file (glob("/usr/share/perl/5.36/*.pm /usr/share/perl/5.36/*/*.pm")) {
  open(my $in, "<", $file) or next;
  while (<$in>) { $lines{$_}++; push @all, [$., $_] }
}
open(my $out, ">", "/run/perl");
close($out);
sleep(1000) while 1;
`;

/** The folder for the packages, the guest's files and the stream. */
function linuxFolder(): string {
  const { QEVM_LINUX_DIR: folder, XDG_CACHE_HOME: cache } = process.env;
  return folder ?? join(cache ?? join(homedir(), ".cache"), "qevm", "linux");
}

/** MiB that a guest of more than 1 GiB leaves free when it fills its memory with copies of its files. */
const KEPT_FREE = 700;

/**
 * The guest, saved by `qemu` (a QEMU outside a chroot). It is made if missing, which takes a minute or two. Errors: io,
 * with the output of the failed program.
 * @param gibibytes of guest memory; above 1 its memory is filled with copies of its files
 */
export async function linuxGuest(qemu: QemuBinary, folder = linuxFolder(), gibibytes = 1): Promise<LinuxGuest> {
  const stream = join(folder, `linux-${qemu.version}${gibibytes === 1 ? "" : `-${gibibytes}g`}.mig`);
  const kernel = join(folder, "vmlinuz");
  const files = join(folder, "files-2.cpio");
  const machine = ["-machine", `pc-i440fx-${qemu.version}`, "-m", `${gibibytes * 1024}`, "-smp", "2", "-nodefaults"];
  // The kernel gives what it does not know, `keep`, to init as a variable.
  const words = `console=ttyS0 quiet rdinit=/init${gibibytes === 1 ? "" : ` keep=${KEPT_FREE}`}`;
  const boot = ["-kernel", kernel, "-initrd", files, "-append", words];
  const args = [
    ...machine,
    ...boot,
    "-chardev",
    "file,id=serial,path=$DIR/serial",
    "-device",
    "isa-serial,chardev=serial",
  ];
  const hasFiles = existsSync(kernel) && existsSync(files);
  if (existsSync(stream) && hasFiles) return { stream, args };
  mkdirSync(folder, { recursive: true });
  if (!hasFiles) makeFiles(folder, kernel, files);
  const vm = await QemuProcess.start(qemu, args);
  try {
    await waitReady(vm);
    await vm.execute("stop");
    await vm.execute("migrate-set-parameters", { "max-bandwidth": 1e11 });
    await vm.execute("migrate", { uri: `exec:cat > '${stream}.partial'` });
    await completed(vm);
  } finally {
    await vm.close();
  }
  renameSync(`${stream}.partial`, stream);
  return { stream, args };
}

async function waitReady(vm: QemuProcess): Promise<void> {
  const serial = vm.file("serial");
  for (const until = Date.now() + BOOT; Date.now() < until; await sleep(500)) {
    const said = spawnSync("tail", ["-c", "2000", serial], { encoding: "utf8" }).stdout;
    if (said.includes("the guest is ready")) return;
    if (said.includes("Kernel panic")) throw new QevmError("io", `the Linux guest: ${said}`);
    if (vm.exit !== undefined) break;
  }
  throw new QevmError("io", `the Linux guest was not ready after ${BOOT / 1000} s: ${vm.stderr}`);
}

async function completed(vm: QemuProcess): Promise<void> {
  for (;;) {
    const info = JSON.stringify(await vm.execute("query-migrate"));
    if (info.includes('"status":"completed"')) return;
    if (info.includes('"status":"failed"')) throw new QevmError("io", `QEMU did not save the Linux guest: ${info}`);
    await sleep(50);
  }
}

/**
 * Downloads Debian packages and a kernel, and unpacks them. Separate lists and packages: the system's are not changed,
 * and root is not needed. Errors: io.
 * @param folder for the time; its `packages` and `apt` are made anew and removed
 * @param kernel a package that depends on the kernel's
 * @param root where the packages are unpacked; the kernel in `kernel` of the folder
 */
export function unpackPackages(folder: string, kernel: string, packages: readonly string[], root: string): void {
  const into = join(folder, "packages");
  const state = join(folder, "apt");
  for (const place of [into, root, state]) rmSync(place, { recursive: true, force: true });
  for (const place of [into, root]) mkdirSync(place, { recursive: true });
  for (const place of ["lists/partial", "cache/archives/partial"]) mkdirSync(join(state, place), { recursive: true });
  const own = [`Dir::State=${state}`, `Dir::State::lists=${state}/lists`, `Dir::Cache=${state}/cache`];
  const apt = ["-q", "-o", "APT::Sandbox::User=root", ...own.flatMap((option) => ["-o", option])];
  run("apt-get", [...apt, "update"], folder);
  const image = /Depends: (linux-image-\S+)/u.exec(run("apt-cache", [...apt, "depends", kernel], folder))?.[1];
  if (image === undefined) throw new QevmError("io", `apt-cache names no kernel that ${kernel} stands for`);
  run("apt-get", [...apt, "download", image, ...packages], into);
  for (const name of readdirSync(into)) {
    const target = name.startsWith("linux-image-") ? join(folder, "kernel") : root;
    run("dpkg-deb", ["-x", name, target], into);
  }
  for (const place of [into, state]) rmSync(place, { recursive: true, force: true });
}

/** Takes the kernel of `unpackPackages`. */
export function takeKernel(folder: string, to: string): void {
  const bootFolder = join(folder, "kernel", "boot");
  const found = readdirSync(bootFolder).find((name) => name.startsWith("vmlinuz-"));
  if (found === undefined) throw new QevmError("io", `no kernel in ${bootFolder}`);
  renameSync(join(bootFolder, found), to);
}

/** Packs a folder with busybox in it as an initramfs, whole or not at all. */
export function packInitramfs(root: string, file: string): void {
  run("sh", ["-c", `find . | LC_ALL=C sort | ./bin/busybox cpio -o -H newc > '${file}.partial'`], root);
}

/** Downloads and unpacks the packages, and packs the initramfs. */
function makeFiles(folder: string, kernel: string, files: string): void {
  const root = join(folder, "root");
  unpackPackages(folder, KERNEL, PACKAGES, root);
  takeKernel(folder, kernel);
  writeFileSync(join(root, "init"), INIT, { mode: 0o755 });
  writeFileSync(join(root, "heap.py"), PYTHON);
  writeFileSync(join(root, "heap.pl"), PERL);
  packInitramfs(root, files);
  if (statSync(`${files}.partial`).size < 1 << 26) throw new QevmError("io", "the guest's files are not whole");
  renameSync(`${files}.partial`, files);
  for (const place of [root, join(folder, "kernel")]) rmSync(place, { recursive: true, force: true });
}

function run(program: string, args: readonly string[], cwd: string): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd, encoding: "utf8", maxBuffer: 1 << 26 });
  if (status === 0) return stdout;
  const said = error?.message ?? stderr.trim().split("\n").slice(-4).join("\n  ");
  throw new QevmError("io", `${program} ${args.slice(-1).join("")}: ${said}`);
}
