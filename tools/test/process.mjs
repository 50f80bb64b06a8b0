// Child processes of the test run. Each one leads its own process group, so that anything it leaves running (a QEMU
// that a crashed test started) is killed with it.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { CERTIFICATES, HUGE_PAGES } from "../environment.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const groups = new Set();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.on(signal, () => {
    for (const pid of groups) endGroup(pid);
    process.exit(1);
  });
}

/**
 * Runs `node ARGS`; resolves to how it ended. `onOutput` receives stdout as it arrives. stderr (and stdout without
 * `onOutput`) is kept, at most its last 64 KiB.
 */
export function node(args, { timeout = 600_000, onOutput, env = {} } = {}) {
  const started = performance.now();
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      // Chapters allocate much for a short time: huge pages take a third of their processor time.
      ...HUGE_PAGES,
      ...process.env,
      [CERTIFICATES]: undefined,
      ...(process.stdout.isTTY ? {} : { NO_COLOR: "1", FORCE_COLOR: "0" }),
      ...env,
    },
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
    // A grandchild may keep the pipes open: once the leader has exited its group is killed too, and "close" follows.
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
    // The group has already exited.
  }
}

/** The path of a program in an npm package. */
export function bin(path) {
  return `${root}node_modules/${path}`;
}
