import { run, type Command } from "./run.js";

/** Each command's module, loaded on demand. */
const LOADERS: Readonly<Record<string, () => Promise<Command>>> = {
  inspect: () => import("./inspect.js"),
  devices: () => import("./devices.js"),
  dump: () => import("./dump.js"),
  verify: () => import("./verify.js"),
  explain: () => import("./explain.js"),
  report: () => import("./report.js"),
  page: () => import("./page.js"),
  diff: () => import("./diff.js"),
  extract: () => import("./extract.js"),
  read: () => import("./read.js"),
  gdb: () => import("./gdb.js"),
  serve: () => import("./serve.js"),
  send: () => import("./send.js"),
  receive: () => import("./receive.js"),
  relay: () => import("./relay.js"),
  generate: () => import("./generate.js"),
  convert: () => import("./convert.js"),
  adapt: () => import("./adapt.js"),
  unpack: () => import("./unpack.js"),
  pack: () => import("./pack.js"),
  fuzz: () => import("./fuzz.js"),
  completions: () => import("./completions.js"),
  catalogue: () => import("./catalogue.js"),
};

/**
 * Runs a command by its name. `dist/bin` has another module in its place, which loads one file per command (see
 * `tools/build.mjs`).
 */
export async function start(name: string, args: string[]): Promise<number> {
  return await run(name, args, LOADERS[name]!);
}
