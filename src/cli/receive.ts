import { existsSync, renameSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { isFolder } from "../container/is-folder.js";
import { openInput } from "../container/open.js";
import { convertToFile } from "../convert/convert-file.js";
import { receiveInto, type Received, type ReceiveOptions } from "../receive/index.js";
import { attempt } from "../transport/file.js";
import { moveInto, outputPlace } from "../transport/output-place.js";
import { AtomicFolder } from "../transport/folder.js";
import { temporaryFolder } from "../transport/temporary.js";
import { parse, UsageError } from "./arguments.js";
import { outOf } from "./out.js";
import { fileSize, print, printJson, safe, table, tellSource, whence } from "./output.js";

/** `qevm receive URI --out DIR|FILE`. */
export async function run(argv: string[]): Promise<number> {
  const options = {
    json: { type: "boolean" },
    out: { type: "string" },
    as: { type: "string" },
    "switchover-ack": { type: "boolean" },
  } as const;
  const args = parse(argv, options, [1, 1], "one URI");
  const out = outOf(args, []);
  const wanted = args.text("as") ?? (out.endsWith("/") || isFolder(out) ? "recording" : undefined);
  if (wanted !== undefined && wanted !== "recording" && wanted !== "stream") {
    throw new UsageError(`--as takes recording or stream, not ${JSON.stringify(wanted)}`);
  }
  const uri = args.positionals[0]!;
  const how = { onListening: tellSource, switchoverAck: args.flag("switchover-ack") };
  const { as, ...received } =
    wanted === "recording" ? await intoFolder(uri, out, how) : await settle(uri, out, how, wanted);
  if (args.flag("json")) printJson({ ...received, out, as });
  else print(lines(out, received));
  return 0;
}

/** What was received, and what it was written as. */
type Written = Received & { as: "recording" | "stream" };

async function intoFolder(uri: string, out: string, how: ReceiveOptions): Promise<Written> {
  const folder = new AtomicFolder(out);
  try {
    const received = await receiveInto(folder.temporary, uri, how);
    folder.commit();
    return { ...received, as: "recording" };
  } finally {
    folder.abort();
  }
}

/**
 * One stream: as it came where it came alone, or else its channels brought together. Where it was not asked for, and the name has no
 * extension, the channels of more than one stay a folder.
 */
async function settle(uri: string, out: string, how: ReceiveOptions, wanted: "stream" | undefined): Promise<Written> {
  const path = resolve(out);
  const place = outputPlace(path);
  const made = temporaryFolder(place.folder, basename(path));
  const folder = made.path;
  try {
    const received = await receiveInto(folder, uri, how);
    const forth = received.channels.filter(({ role }) => role !== "return-path").length;
    if (wanted === undefined && forth > 1 && extname(path) === "" && !existsSync(path)) {
      attempt(path, () => renameSync(folder, path));
      return { ...received, as: "recording" };
    }
    if (received.channels.length === 1) {
      moveInto(join(folder, received.channels[0]!.file), place);
    } else {
      await together(folder, path);
    }
    return { ...received, as: "stream" };
  } finally {
    made.remove();
  }
}

/** The channels in `folder` as one stream. What came cannot be had again: where that fails, the folder is kept. */
async function together(folder: string, path: string): Promise<void> {
  try {
    const input = await openInput(folder);
    const flatten = input.containers.some((one) => one.kind === "recording" && one.postcopy);
    await convertToFile(input, path, { ram: "keep", flatten });
    await input.close?.();
  } catch (error) {
    const kept = `${path}.recording`;
    if (existsSync(kept)) throw error;
    attempt(kept, () => renameSync(folder, kept));
    process.stderr.write(`qevm receive: the channels cannot be brought together; they are kept in ${kept}\n`);
    throw error;
  }
}

function lines(out: string, { uri, channels, bytes }: Received): string[] {
  const rows = channels.map(({ file, role, bytes: size }) => [safe(file), role, fileSize(size)]);
  return [`${safe(out)}: ${fileSize(bytes)} received ${safe(whence(uri))}`, ...table(rows, [0, 1])];
}
