/**
 * libvirt's QEMU driver inside one virsh, without a daemon: `qemu:///embed` keeps configuration, state and logs in the
 * test's folder.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";

/** The absolute path of a program on PATH, which a domain XML needs. */
export function pathOf(program: string): string | undefined {
  const paths = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, program));
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why no domain can be started here; undefined when libvirt's driver works. */
export function noLibvirt(folder: string): string | undefined {
  if (pathOf("qemu-system-x86_64") === undefined) return "no qemu-system-x86_64 here";
  if (pathOf("python3") === undefined) return "no python3 here";
  const install = "apt-get install --no-install-recommends libvirt-clients libvirt-daemon libvirt-daemon-driver-qemu";
  if (pathOf("virsh") === undefined) return `no libvirt here (${install})`;
  configure(folder, "raw");
  const run = spawnSync("virsh", ["-q", "-c", uri(folder), "version"], {
    encoding: "utf8",
    timeout: 60_000,
    env: environment(folder),
  });
  if (run.status === 0) return undefined;
  const said = (run.stderr ?? "").trim().split("\n").at(-1);
  return `libvirt's QEMU driver does not start here: ${said ?? String(run.error)} (${install})`;
}

/**
 * Why libvirt does not save in a format here; undefined: it does. This is not tested by saving, because virsh may hang
 * on a save that fails at once.
 */
export function notOffered(format: string): string | undefined {
  const [major = 0, minor = 0] = spawnSync("virsh", ["--version"], { encoding: "utf8" }).stdout.split(".").map(Number);
  const old = major < 11 || (major === 11 && minor < 3);
  if (["zstd", "sparse"].includes(format) && old) return `libvirt ${major}.${minor}: ${format} is known of 11.3`;
  return ["raw", "sparse"].includes(format) || pathOf(format) !== undefined ? undefined : `no ${format} here`;
}

function uri(folder: string): string {
  return `qemu:///embed?root=${folder}`;
}

/**
 * Runs virsh and reaps its orphans. QEMU runs as a daemon whose parent is the first process of the machine or
 * container, and libvirt waits until that process reaps it, which some do late or never. So this script reaps, and
 * kills every QEMU after virsh; SIGTERM ends virsh first.
 */
const BURYING = `
import ctypes, os, signal, sys
PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
virsh = os.fork()
if virsh == 0:
    os.dup2(1, 2)
    os.execvp(sys.argv[1], sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: os.kill(virsh, signal.SIGKILL))
while os.waitpid(-1, 0)[0] != virsh:
    pass
with open(f"/proc/self/task/{os.getpid()}/children") as children:
    for child in children.read().split():
        os.kill(int(child), 9)
`;

/** A qemu.conf: no daemon, no other user, no confinement, which the tests need and every container allows. */
export function qemuConf(...more: readonly string[]): string {
  const lines = [
    'security_driver = "none"',
    'user = "+0"',
    'group = "+0"',
    "dynamic_ownership = 0",
    "remember_owner = 0",
    'stdio_handler = "file"',
    "cgroup_controllers = [ ]",
    "namespaces = [ ]",
    ...more,
  ];
  // Only root may name other users, and only root needs to.
  const allowed = process.getuid?.() === 0 ? lines : lines.filter((line) => !/^(?:user|group|dynamic)/u.test(line));
  return `${allowed.join("\n")}\n`;
}

function configure(folder: string, format: string): void {
  if (!existsSync(join(folder, "etc"))) mkdirSync(join(folder, "etc"), { recursive: true });
  writeFileSync(join(folder, "etc", "qemu.conf"), qemuConf(`save_image_format = "${format}"`));
}

/** libvirt's log must not be mixed with virsh's output. */
function environment(folder: string): NodeJS.ProcessEnv {
  return { ...process.env, LIBVIRT_LOG_OUTPUTS: `3:file:${join(folder, "libvirt.log")}` };
}

/** One virsh that runs commands one after the other. Always `close()` it, in a `finally`. */
export class Virsh {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #said = "";
  #heard: () => void = () => undefined;
  #count = 0;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding("utf8");
    child.stdout?.on("data", (text: string) => {
      this.#said += text;
      this.#heard();
    });
    child.stdin?.on("error", () => undefined);
    this.#ended = new Promise((resolve) => {
      child.once("close", () => {
        resolve();
        this.#heard();
      });
    });
  }

  /** `format`: the `save_image_format` of this libvirt's configuration. */
  static start(folder: string, format: string): Virsh {
    configure(folder, format);
    const args = ["-c", BURYING, "virsh", "-q", "-c", uri(folder)];
    return new Virsh(spawn("python3", args, { stdio: ["pipe", "pipe", "ignore"], env: environment(folder) }));
  }

  /** virsh's output. Rejects with its error, or after a minute. */
  async run(command: string): Promise<string> {
    const mark = `qevm-${++this.#count}`;
    const answered = `echo ${mark}\n${mark}`;
    this.#child.stdin?.write(`${command}\necho ${mark}\n`);
    const until = Date.now() + 60_000;
    while (!this.#said.includes(answered)) {
      const left = until - Date.now();
      if (left <= 0 || this.#child.exitCode !== null) throw new Error(`virsh did not answer ${command}: ${this.#said}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#heard = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    // A prompt and the echoed command precede the output; a prompt and the marker command follow it.
    const end = this.#said.indexOf(answered);
    const answer = this.#said.slice(this.#said.indexOf("\n") + 1, this.#said.lastIndexOf("\n", end) + 1);
    this.#said = this.#said.slice(end + answered.length);
    if (/^error: /mu.test(answer)) throw new Error(`virsh ${command}: ${answer.trim()}`);
    return answer;
  }

  /** Ends every domain, and virsh. */
  async close(): Promise<void> {
    try {
      for (const name of (await this.run("list --name")).split("\n").filter((line) => line.trim() !== "")) {
        await this.run(`destroy ${name}`);
      }
    } finally {
      this.#child.stdin?.end();
      const killed = setTimeout(() => this.#child.kill("SIGTERM"), 20_000);
      await this.#ended;
      clearTimeout(killed);
    }
  }
}
