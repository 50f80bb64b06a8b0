import { counted } from "../analyse/explain/words.js";
import { StreamReader } from "../codec/stream/index.js";
import { Learner, type Catalogue } from "../codec/vmstate/catalogue/index.js";
import { loadCatalogue, ownFile, readOwn, writeOwn } from "../io/catalogue/load.js";
import { inputOptions, parse, UsageError } from "./arguments.js";
import { openFile, printResult } from "./document.js";
import { print, safe, table } from "./output.js";
import { QevmError } from "../bytes/errors.js";

/** `qevm catalogue list [NAME]` and `qevm catalogue learn CAPTURE...`. */
export async function run(argv: string[]): Promise<number> {
  const [action, ...rest] = argv;
  if (action === "list") return await list(rest);
  if (action === "learn") return await learn(rest);
  throw new UsageError("expected an action: list or learn");
}

async function list(argv: string[]): Promise<number> {
  const args = parse("catalogue list", argv, [0, 1], "at most one NAME");
  const [name] = args.positionals;
  const catalogue = await loadCatalogue();
  const devices = catalogue.list().filter((device) => name === undefined || device.name === name);
  if (name !== undefined && devices.length === 0) throw new UsageError(`no device ${JSON.stringify(name)}`);
  if (args.flag("json"))
    printResult({
      origins: catalogue.origins,
      vmsds: devices.map(({ name: vmsd, layouts, versions, origins }) => {
        return { vmsd, layoutCount: layouts, versionIds: versions, origins };
      }),
    });
  else print(text(catalogue, devices));
  return 0;
}

function text(catalogue: Catalogue, devices: ReturnType<Catalogue["list"]>): string[] {
  const rows = devices.map(({ name, versions, layouts, origins }) => [
    safe(name),
    versions.join(" "),
    `${layouts}`,
    safe(origins.join(", ")),
  ]);
  return [
    `${counted(devices.length, "device")}, of ${safe(catalogue.origins.join(", "))}`,
    ...table([["device", "versions", "layouts", "known by"], ...rows], [0, 1, 3]),
  ];
}

async function learn(argv: string[]): Promise<number> {
  const args = parse("catalogue learn", argv, [1, 1000], "one or more CAPTUREs");
  const learner = new Learner(readOwn());
  const learnt: { file: string; origin: string; devices: number }[] = [];
  for (const file of args.positionals) {
    const source = await openFile(file, inputOptions(args));
    const stream = new StreamReader(source, { ...inputOptions(args).stream, unreached: "count" });
    let devices = 0;
    let described: number | undefined;
    const states: Parameters<Learner["add"]>[2][] = [];
    for await (const item of stream) {
      if (item.kind === "vmdescription") described = item.offset;
      if (item.kind === "section" && item.content.kind === "device") states.push(item.content.state);
    }
    await source.close?.();
    if (described === undefined) {
      const what = "the capture has no VMDESCRIPTION to learn from";
      throw new QevmError("bad-description", what, { offset: stream.offset, path: [file] });
    }
    // The stream does not say which QEMU wrote it; its machine type is at least of this release.
    const origin = args.text("origin") ?? `own ${stream.machine ?? "stream"}`;
    for (const state of states) {
      if (state === undefined) continue;
      learner.add(state.description, origin, state);
      devices++;
    }
    learnt.push({ file, origin, devices });
  }
  await writeOwn(learner.data());
  if (args.flag("json"))
    printResult({ out: ownFile(), learnt: learnt.map(({ devices, ...one }) => ({ ...one, deviceCount: devices })) });
  else {
    print([
      ...learnt.map(
        ({ file, origin, devices }) =>
          `${safe(file)}: ${counted(devices, "device")}, as ${safe(JSON.stringify(origin))}`,
      ),
      `added to ${safe(ownFile())}`,
    ]);
  }
  return 0;
}
