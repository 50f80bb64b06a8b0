// Child processes of the test run. Each one leads a process group of its own, so that whatever it leaves behind
// (a QEMU that a crashed test started) ends with it.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const groups = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const pid of groups) endGroup(pid);
    process.exit(1);
  });
}

/**
 * Runs `node ARGS`; resolves to how it ended. `onOutput` sees stdout as it comes; stderr (and stdout without `onOutput`)
 * is kept, at most its last 64 KiB.
 */
export function node(args, { timeout = 600_000, onOutput, env = {} } = {}) {
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, ...(process.stdout.isTTY ? {} : { NO_COLOR: "1", FORCE_COLOR: "0" }), ...env },
  });
  groups.add(child.pid);
  let kept = "";
  const keep = (text) => {
    kept = (kept + text).slice(-65_536);
  };
  child.stdout.setEncoding("utf8").on("data", onOutput ?? keep);
  child.stderr.setEncoding("utf8").on("data", keep);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    endGroup(child.pid);
  }, timeout);
  return new Promise((resolve) => {
    // A grandchild may hold the pipes open: once the leader is gone its group goes too, and "close" follows.
    child.on("exit", () => {
      clearTimeout(timer);
      endGroup(child.pid);
      groups.delete(child.pid);
    });
    child.on("close", (code, signal) => {
      resolve({ code, signal, timedOut, output: kept, seconds: (performance.now() - started) / 1000 });
    });
  });
}

function endGroup(pid) {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing of the group is left.
  }
}

/** The path of a program that an npm package brings. */
export function bin(path) {
  return `${root}node_modules/${path}`;
}
