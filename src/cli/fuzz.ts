import { UsageError } from "./arguments.js";

const ACTIONS: Readonly<Record<string, () => Promise<{ run: (args: string[]) => Promise<number> }>>> = {
  decode: () => import("./fuzz/decode.js"),
  make: () => import("./fuzz/make.js"),
  qemu: () => import("./fuzz/qemu.js"),
  minimise: () => import("./fuzz/minimise.js"),
  report: () => import("./fuzz/report.js"),
};

/** `qevm fuzz decode|make|qemu|minimise|report ...`. */
export async function run(argv: string[]): Promise<number> {
  const [name = "", ...args] = argv;
  if (!Object.hasOwn(ACTIONS, name)) {
    throw new UsageError(
      `expected ${Object.keys(ACTIONS).join(", ")}${name === "" ? "" : `, not ${JSON.stringify(name)}`}`,
    );
  }
  const action = await ACTIONS[name]!();
  return await action.run(args);
}
