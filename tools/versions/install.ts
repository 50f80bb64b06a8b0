/** Installs a QEMU of another Debian suite into a separate folder. Nothing outside that folder is changed. */
import { spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { folderName, type Suite } from "./suites.js";

/** Time limit for each of the two steps of an installation. */
const limit = 20 * 60_000;

/** Why nothing can be installed here, or undefined when it can. */
export function whyNot(): string | undefined {
  if (process.platform !== "linux") return "debootstrap needs Linux";
  if (process.getuid?.() !== 0) return "debootstrap and chroot need root";
  if (spawnSync("debootstrap", ["--version"], { stdio: "ignore" }).status !== 0) {
    return "debootstrap is missing (apt-get install debootstrap)";
  }
  return undefined;
}

/**
 * Installs one suite's QEMU below `folder`. The chroot is created atomically: under a temporary name, then renamed.
 * `mirror` is the address of a Debian mirror; undefined: debootstrap's own. Rejects with `QevmError` (io) that ends
 * with the installer's last lines.
 */
export async function install(suite: Suite, folder: string, mirror: string | undefined): Promise<string> {
  const target = join(folder, folderName(suite));
  const partial = `${target}.partial`;
  mkdirSync(folder, { recursive: true });
  rmSync(partial, { recursive: true, force: true });
  try {
    const extra = ["--variant=minbase", "--include=ca-certificates"];
    await run("debootstrap", [...extra, suite.suite, partial, ...(mirror === undefined ? [] : [mirror])]);
    addPackages(suite, partial);
    await inside(partial, ["apt-get", "update"]);
    const from = suite.backports ? ["-t", `${suite.suite}-backports`] : [];
    const packages = ["qemu-system-x86", "qemu-utils", ...(suite.modules ?? [])];
    await inside(partial, ["apt-get", "install", "-y", "--no-install-recommends", ...from, ...packages]);
    await inside(partial, ["apt-get", "clean"]);
    rmSync(target, { recursive: true, force: true });
    renameSync(partial, target);
  } catch (error) {
    rmSync(partial, { recursive: true, force: true });
    throw error;
  }
  return target;
}

/** Adds the backports to the package lists, and prevents services from being started by installing them. */
function addPackages({ suite, backports }: Suite, root: string): void {
  const list = join(root, "etc/apt/sources.list");
  if (backports && existsSync(list)) {
    const line = readFileSync(list, "utf8")
      .split("\n")
      .find((text) => text.startsWith("deb "));
    if (line === undefined) throw new QevmError("io", `${list} names no archive`);
    appendFileSync(list, `${line.replace(` ${suite} `, ` ${suite}-backports `)}\n`);
  }
  const policy = join(root, "usr/sbin/policy-rc.d");
  writeFileSync(policy, "#!/bin/sh\nexit 101\n");
  chmodSync(policy, 0o755);
}

async function inside(root: string, command: readonly string[]): Promise<void> {
  await run("chroot", [root, "/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C", ...command]);
}

/** The installer has its own process group so that all of it can be killed; Ctrl-C must therefore be forwarded. */
function interrupted(): void {
  process.exit(130);
}

/** Runs a program to its end; its output is shown only when it fails. */
async function run(program: string, args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], detached: true });
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      said = (said + text).slice(-4000);
    });
  }
  const timer = new AbortController();
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? "" : `ended with ${signal ?? code ?? "nothing"}`));
  });
  const late = sleep(limit, "takes too long", { signal: timer.signal, ref: false }).catch(() => "");
  const stop = (): void => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, "SIGKILL");
  };
  process.once("exit", stop);
  process.once("SIGINT", interrupted);
  const trouble = await Promise.race([ended, late]);
  process.removeListener("exit", stop);
  process.removeListener("SIGINT", interrupted);
  timer.abort();
  if (trouble === "") return;
  stop();
  await ended;
  const lines = said.trim().split("\n").slice(-6).join("\n  ");
  throw new QevmError("io", `${program} ${args.join(" ")}: ${trouble}\n  ${lines}`);
}
