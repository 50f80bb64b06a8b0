import { mkdirSync, renameSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { isFolder, openInput } from "../container/index.js";
import { convertToFile } from "../convert/convert-file.js";
import { receiveInto, type Received, type ReceiveOptions } from "../receive/index.js";
import { attempt, rememberUnfinished } from "../transport/file.js";
import { AtomicFolder } from "../transport/folder.js";
import { parse, UsageError } from "./arguments.js";
import { fileSize, print, printJson, safe, table } from "./output.js";

/** `qevm receive URI --out DIR|FILE`. */
export async function run(argv: string[]): Promise<number> {
  const options = {
    json: { type: "boolean" },
    out: { type: "string" },
    as: { type: "string" },
    "switchover-ack": { type: "boolean" },
  } as const;
  const args = parse(argv, options, [1, 1], "one URI");
  const out = args.text("out");
  if (out === undefined) throw new UsageError("--out is missing");
  const as = args.text("as") ?? (out.endsWith("/") || isFolder(out) ? "recording" : "stream");
  if (as !== "recording" && as !== "stream") {
    throw new UsageError(`--as takes recording or stream, not ${JSON.stringify(as)}`);
  }
  // An unfinished folder goes when the waiting is broken off.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(1));
  const uri = args.positionals[0]!;
  const how = { onListening, switchoverAck: args.flag("switchover-ack") };
  const received = as === "recording" ? await intoFolder(uri, out, how) : await intoFile(uri, out, how);
  if (args.flag("json")) printJson({ ...received, out, as });
  else print(lines(out, received));
  return 0;
}

async function intoFolder(uri: string, out: string, how: ReceiveOptions): Promise<Received> {
  const folder = new AtomicFolder(out);
  try {
    const received = await receiveInto(folder.temporary, uri, how);
    folder.commit();
    return received;
  } finally {
    folder.abort();
  }
}

/** One stream: as it came where it came alone, or else its channels brought together. */
async function intoFile(uri: string, out: string, how: ReceiveOptions): Promise<Received> {
  const path = resolve(out);
  const folder = join(dirname(path), `.${basename(path)}.${process.pid}.recording.partial`);
  attempt(folder, () => mkdirSync(folder));
  const unfinished = rememberUnfinished(folder);
  try {
    const received = await receiveInto(folder, uri, how);
    if (received.channels.length === 1) {
      attempt(path, () => renameSync(join(folder, received.channels[0]!.file), path));
      return received;
    }
    const input = await openInput(folder);
    const flatten = input.containers.some((one) => one.kind === "recording" && one.postcopy);
    await convertToFile(input, path, { ram: "keep", flatten });
    await input.close?.();
    return received;
  } finally {
    rmSync(folder, { recursive: true, force: true });
    unfinished.forget();
  }
}

function onListening(uri: string): void {
  process.stderr.write(`listening at ${uri}\n`);
}

function lines(out: string, { uri, channels, bytes }: Received): string[] {
  const rows = channels.map(({ file, role, bytes: size }) => [safe(file), role, fileSize(size)]);
  return [`${safe(out)}: ${fileSize(bytes)} received at ${uri}`, ...table(rows, [0, 1])];
}
