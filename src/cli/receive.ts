import { existsSync, renameSync } from "node:fs";
import { basename, extname, join, resolve } from "node:path";
import { isFolder } from "../io/container/is-folder.js";
import { openInput } from "../io/container/input.js";
import { convertToFile } from "../rewrite/convert/convert-file.js";
import { receiveInto, type Received, type ReceiveOptions } from "../live/receive/index.js";
import { syncName, syncPath } from "../io/transport/durable.js";
import { attempt } from "../io/transport/file.js";
import { moveInto, outputPlace } from "../io/transport/output-place.js";
import { AtomicFolder } from "../io/transport/folder.js";
import { temporaryFolder } from "../io/transport/temporary.js";
import { parse, UsageError } from "./arguments.js";
import { freeName, keepFolder, keepsPartial, refusals, tellKept } from "./kept.js";
import { outOf } from "./out.js";
import { checkInClear, listenerTls, tlsLines } from "./tls.js";
import { printResult } from "./document.js";
import { fileSize, print, safe, table, tell, tellSource, whence } from "./output.js";

/** `qevm receive URI --out DIR|FILE`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("receive", argv, [1, 1], "one URI");
  const out = outOf(args, []);
  const wanted = args.text("as") ?? (out.endsWith("/") || isFolder(out) ? "recording" : undefined);
  if (wanted !== undefined && wanted !== "recording" && wanted !== "stream") {
    throw new UsageError(`--as takes recording or stream, not ${JSON.stringify(wanted)}`);
  }
  const uri = args.positionals[0]!;
  const switchoverAck = args.flag("switchover-ack");
  const tls = await listenerTls(args, "tls");
  checkInClear(args, tls, out);
  const partial = keepsPartial(args);
  const how = {
    partial,
    tls,
    allow: args.list("allow"),
    onListening: tellSource,
    onRefused: refusals(),
    switchoverAck,
  };
  const { as, ...received } =
    wanted === "recording" ? await intoFolder(uri, out, how) : await intoFile(uri, out, how, wanted);
  if (args.flag("json")) printResult({ ...received, out, as });
  else print(lines(out, received));
  return 0;
}

/** How it is received, and whether what a failed migration sent is kept. */
type How = ReceiveOptions & { partial: boolean };

/** What was received, and the form in which it was written. */
type Written = Received & { as: "recording" | "stream" };

async function intoFolder(uri: string, out: string, { partial, ...how }: How): Promise<Written> {
  const folder = new AtomicFolder(out);
  const confirm = (): void => {
    folder.commit();
    syncName(resolve(out));
  };
  const keep = ({ complete }: Received): void => keepFolder(folder, out, complete, partial);
  try {
    return { ...(await receiveInto(folder.temporary, uri, { ...how, confirm, keep })), as: "recording" };
  } finally {
    folder.abort();
  }
}

/**
 * Writes one stream: as received if there was one channel, otherwise merged. If `--as` was not given and the name has
 * no extension, several channels stay a folder.
 */
async function intoFile(
  uri: string,
  out: string,
  { partial, ...how }: How,
  wanted: "stream" | undefined,
): Promise<Written> {
  const path = resolve(out);
  const place = outputPlace(path);
  const made = temporaryFolder(place.folder, basename(path));
  const scratch = made.path;
  let as: Written["as"] = "stream";
  let left = false;
  const confirm = async ({ channels }: Received): Promise<void> => {
    const forth = channels.filter(({ role }) => role !== "return-path").length;
    if (wanted === undefined && forth > 1 && extname(path) === "" && !existsSync(path)) {
      attempt(path, () => renameSync(scratch, path));
      as = "recording";
    } else if (channels.length === 1) moveInto(join(scratch, channels[0]!.file), place);
    else await mergeInto(scratch, path);
    if (place.special) return;
    syncPath(place.path);
    syncName(place.path);
  };
  const keep = ({ complete }: Received): void => {
    if (!existsSync(scratch) || (!complete && !partial)) return;
    const beside = join(place.folder, basename(path));
    const kept = freeName(`${beside}.${complete ? "recording" : "partial"}`);
    try {
      renameSync(scratch, kept);
      syncName(kept);
    } catch {
      // It could not be renamed, so it stays where it is.
      left = existsSync(scratch);
      made.forget();
      tellKept(left ? scratch : kept);
      return;
    }
    if (complete) tell(`${safe(out)} cannot be made; every channel is kept in ${safe(kept)}`);
    else tellKept(kept);
  };
  try {
    return { ...(await receiveInto(scratch, uri, { ...how, confirm, keep })), as };
  } finally {
    if (!left) made.remove();
  }
}

/** Writes the channels in `folder` as one stream. */
async function mergeInto(folder: string, path: string): Promise<void> {
  const input = await openInput(folder);
  try {
    const flatten = input.containers.some((one) => one.kind === "recording" && one.postcopy);
    await convertToFile(input, path, { ram: "keep", flatten });
  } finally {
    await input.close?.();
  }
}

function lines(out: string, { uri, channels, receivedBytes: bytes, tls }: Received): string[] {
  const rows = channels.map(({ file, role, channelLength: size }) => [safe(file), role, fileSize(size)]);
  return [`${safe(out)}: ${fileSize(bytes)} received ${safe(whence(uri))}`, ...table(rows, [0, 1]), ...tlsLines(tls)];
}
