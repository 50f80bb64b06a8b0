// Child processes of the test run. Each one leads its own process group, so that anything it leaves running (a QEMU
// that a crashed test started) is killed with it.
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
 * Large allocations in huge pages: on a virtual machine the first access to a page costs more than most that is done
 * with it, and chapters allocate much for a short time. A third of their processor time (glibc 2.35 and later).
 */
const HUGE_PAGES = { GLIBC_TUNABLES: process.env.GLIBC_TUNABLES ?? "glibc.malloc.hugetlb=1" };

/** Where this is set, every start of Node parses the whole file (40 ms for a system's certificates). */
const FEW_CERTIFICATES = { NODE_EXTRA_CA_CERTS: undefined };

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
      ...process.env,
      ...HUGE_PAGES,
      ...FEW_CERTIFICATES,
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
