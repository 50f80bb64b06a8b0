/**
 * Two libvirt daemons on one machine, each with folders, process numbers and a UUID of its own, and the same network:
 * what `virsh migrate` takes for two hosts.
 */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pathOf, qemuConf } from "./virsh.js";

/** Where a node sees `LibvirtNode.sockets`: unix sockets of migrations, as KubeVirt's launchers have them. */
export const SOCKETS = "/run/qevm-sockets";

/** Why no daemon can be started here; undefined: they can. */
export function noNodes(): string | undefined {
  if (process.getuid?.() !== 0) return "two libvirt daemons need root";
  for (const program of ["qemu-system-x86_64", "virsh", "libvirtd", "unshare"]) {
    if (pathOf(program) === undefined) return `no ${program} here (apt-get install libvirt-daemon libvirt-clients)`;
  }
  const tried = spawnSync("unshare", ["-m", "-u", "-p", "-f", "--mount-proc", "true"], { encoding: "utf8" });
  return tried.status === 0 ? undefined : `no namespaces here: ${tried.stderr.trim()}`;
}

/** What a command of virsh said. */
export interface Said {
  code: number | null;
  text: string;
}

export class LibvirtNode {
  readonly uri: string;
  readonly sockets: string;
  private readonly child: ChildProcess;

  private constructor(folder: string, uuid: string, pki: string | undefined) {
    const at = (name: string): string => join(folder, name);
    this.uri = `qemu+unix:///system?socket=${at("sock/libvirt-sock")}`;
    this.sockets = at("sockets");
    const etc = ["auth_unix_rw", "unix_sock_dir", "host_uuid"];
    const values = ["none", at("sock"), uuid];
    const places = { etc: "/etc/libvirt", lib: "/var/lib/libvirt", run: "/run/libvirt", cache: "/var/cache/libvirt" };
    for (const name of [...Object.keys(places), "log", "sock", "sockets"]) mkdirSync(at(name), { recursive: true });
    writeFileSync(at("etc/libvirtd.conf"), etc.map((key, k) => `${key} = "${values[k]}"\n`).join(""));
    const tls = pki === undefined ? [] : [`migrate_tls_x509_cert_dir = "${pki}"`];
    writeFileSync(at("etc/qemu.conf"), qemuConf(...tls));
    const mounts = Object.entries({ ...places, log: "/var/log/libvirt", sockets: SOCKETS })
      .map(([name, place]) => `mkdir -p ${place} && mount --bind "$1/${name}" ${place}`)
      .join(" && ");
    // The shell is the namespace's first process, which reaps what libvirt leaves.
    const script = `${mounts} && hostname "$2" && libvirtd -p "$1/pid" -f /etc/libvirt/libvirtd.conf; exit $?`;
    const args = ["-m", "-u", "-p", "-f", "--mount-proc", "--kill-child", "bash", "-c", script, "bash", folder];
    const env = { ...process.env, LIBVIRT_LOG_OUTPUTS: `3:file:${at("log/libvirtd.log")}` };
    this.child = spawn("unshare", [...args, `node-${uuid.slice(0, 4)}`], { stdio: "ignore", env });
  }

  /** @param pki a folder of certificates for `virsh migrate --tls` */
  static async start(folder: string, uuid: string, pki?: string): Promise<LibvirtNode> {
    const node = new LibvirtNode(folder, uuid, pki);
    for (const until = Date.now() + 60_000; ; await sleep(100)) {
      if (existsSync(join(folder, "sock/libvirt-sock")) && (await node.virsh("version")).code === 0) return node;
      if (Date.now() > until || node.child.exitCode !== null) {
        node.close();
        throw new Error(`libvirtd did not start: see ${folder}/log`);
      }
    }
  }

  /** Runs one command of virsh. */
  async virsh(...args: string[]): Promise<Said> {
    const child = spawn("virsh", ["-q", "-c", this.uri, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const killed = setTimeout(() => child.kill("SIGKILL"), 60_000);
    let text = "";
    for (const pipe of [child.stdout, child.stderr]) {
      pipe.setEncoding("utf8");
      pipe.on("data", (some: string) => (text += some));
    }
    const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
    clearTimeout(killed);
    return { code, text: text.trim() };
  }

  /** Ends the daemon and every guest of it. */
  close(): void {
    this.child.kill("SIGKILL");
  }
}
