import { resolve } from "node:path";
import type { RamTarget } from "../rewrite/convert/types.js";
import type { Told } from "../analyse/text/envelope.js";
import { QevmError } from "../bytes/errors.js";
import type { AdaptReport } from "../rewrite/adapt/types.js";
import { relay, type Relayed, type RelayOptions } from "../live/relay/index.js";
import { syncName } from "../io/transport/durable.js";
import { AtomicFolder } from "../io/transport/folder.js";
import { adaptDocument, adaptLines } from "./adapt-report.js";
import { deviceValues, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { keepFolder, keepsPartial, refusals } from "./kept.js";
import { multifdOptions } from "./multifd-options.js";
import { outOf } from "./out.js";
import { checkInClear, connectorTls, listenerTls, tlsLines } from "./tls.js";
import { printResult } from "./document.js";
import { count, delivered, fileSize, print, printWarnings, safe, table, tell, tellSource, warn } from "./output.js";

/** `qevm relay LISTEN-URI CONNECT-URI`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("relay", argv, [2, 2], "LISTEN-URI and CONNECT-URI");
  const [from = "", to = ""] = args.positionals;
  const planned: Planned = { listenUri: from };
  const multifd = toMultifd(args);
  const convert = await conversion(args, multifd !== undefined);
  const adapt = await adaptation(args, (report) => (planned.report = report));
  const out = args.text("out") === undefined ? undefined : outOf(args, []);
  const listenTls = await listenerTls(args, "listen-tls");
  const connectTls = await connectorTls(args, "connect-tls");
  checkInClear(args, listenTls ?? connectTls, out);
  const onListening = (uri: string): void => tellSource((planned.listenUri = uri));
  let waits = false;
  const onWaiting = ({ what }: QevmError): void => {
    if (waits) return;
    waits = true;
    tell(`${what}: say migrate-recover ${to} at the destination; the source waits, and may not lose this connection`);
  };
  const sides = { listenTls, connectTls, allow: args.list("allow"), onListening, onWaiting };
  const how = { convert, multifd, adapt, ...sides };
  let relayed: Relayed;
  try {
    relayed = await recorded(out, keepsPartial(args), (record) => relay(from, to, { ...how, ...record }));
  } catch (error) {
    if (planned.report?.enough !== false || !(error instanceof QevmError)) throw error;
    return refused(args, error, planned, to);
  }
  const { converted, adapted } = relayed;
  const told = toldOf(relayed);
  printWarnings(told.warnings);
  if (args.flag("json")) printResult(document(relayed, out), told);
  else print(lines(relayed, out));
  for (const { name, why } of converted?.notSet ?? []) warn(`${safe(name)} was not set, the guest went on: ${why}`);
  const status = delivered(told, args.flag("accept-damage"));
  return (converted?.notSet ?? []).length > 0 ? 1 : converted === null && adapted === null ? 0 : status;
}

/** What is known of a migration before it ends. */
interface Planned {
  listenUri: string;
  report?: AdaptReport;
}

/** What the guest is adapted to; undefined: nothing. Errors: usage. */
async function adaptation(
  args: Arguments,
  onPlan: (report: AdaptReport) => void,
): Promise<RelayOptions["adapt"] | undefined> {
  const pattern = args.text("like");
  if (pattern === undefined) {
    if (args.list("accept").length > 0) throw new UsageError("--accept goes with --like");
    return undefined;
  }
  // The configuration and the description are those of the pattern.
  if (args.text("machine") !== undefined) throw new UsageError("--machine does not go with --like");
  if (args.flag("drop-vmdescription")) throw new UsageError("--drop-vmdescription does not go with --like");
  const facts = { release: args.text("qemu") };
  return { pattern, accept: args.list("accept"), facts, stream: await streamOptions(args), onPlan };
}

/** The plan refused something: the destination did not start the guest, and the source goes on with it. */
function refused(args: Arguments, error: QevmError, { listenUri, report }: Planned, connectUri: string): number {
  if (args.flag("json")) printResult({ listenUri, connectUri, adapted: own(adaptDocument(report!)) }, report);
  else print(adaptLines(report!, ""));
  tell(`qevm relay: ${error.message}`);
  return 1;
}

/** How the destination's multifd channels are written; undefined: it has none, or those of the source. Errors: usage. */
function toMultifd(args: Arguments): RelayOptions["multifd"] {
  if (args.text("multifd") === undefined) {
    for (const name of ["channels", "uuid"]) {
      if (args.text(name) !== undefined) throw new UsageError(`--${name} goes with --multifd`);
    }
    if (args.text("qemu") !== undefined && args.text("like") === undefined) {
      throw new UsageError("--qemu goes with --multifd or --like");
    }
    return undefined;
  }
  if (args.text("ram") !== undefined) throw new UsageError("--ram does not go with --multifd");
  return { ...multifdOptions(args), uuid: uuidOf(args.text("uuid")) };
}

function uuidOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  if (!/^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/iu.test(text)) {
    throw new UsageError(`--uuid takes a UUID, not ${JSON.stringify(text)}`);
  }
  return Buffer.from(text.replaceAll("-", ""), "hex");
}

/** The requested conversion; undefined: relay the bytes unchanged. */
async function conversion(args: Arguments, multifd: boolean): Promise<RelayOptions["convert"]> {
  const ram = multifd ? "normal" : args.text("ram");
  if (ram !== undefined && ram !== "normal" && ram !== "zlib") {
    throw new UsageError(`--ram takes normal or zlib, not ${JSON.stringify(ram)}`);
  }
  const level = multifd ? undefined : args.number("level", { min: 0, max: 9 });
  if (!multifd && ram !== "zlib" && level !== undefined) throw new UsageError("--level goes with --ram zlib");
  const machine = args.text("machine");
  const dropVmdescription = args.flag("drop-vmdescription");
  const values = deviceValues(args);
  if (ram === undefined && machine === undefined && !dropVmdescription && values.length === 0) return undefined;
  const target = ram ?? ("keep" satisfies RamTarget);
  return {
    ...(await streamOptions(args)),
    ram: target,
    level,
    machine,
    dropVmdescription,
    ...(values.length > 0 && { values }),
  };
}

function onBroken({ what }: QevmError): void {
  tell(`recording has stopped, the migration continues: ${what}`);
}

/** With a folder for the recording, if wanted; it is renamed when the migration is over. */
async function recorded(
  out: string | undefined,
  partial: boolean,
  work: (how: RelayOptions) => Promise<Relayed>,
): Promise<Relayed> {
  const onRefused = refusals();
  if (out === undefined) return await work({ onRefused });
  const folder = new AtomicFolder(out);
  const confirm = (): void => {
    folder.commit();
    syncName(resolve(out));
  };
  const keep = (): void => keepFolder(folder, out, false, partial);
  try {
    return await work({ record: folder.temporary, onRefused, confirm, keep, onBroken });
  } finally {
    folder.abort();
  }
}

/** What was noticed: of two steps over one stream, by the first. */
function toldOf({ converted, adapted }: Relayed): Required<Told> {
  const { warnings, passedOver } = converted ?? adapted ?? { warnings: [], passedOver: 0 };
  return { warnings, passedOver };
}

function document({ converted, adapted, ...relayed }: Relayed, out: string | undefined): object {
  const shown = { ...relayed, converted: converted && own(converted), adapted: adapted && own(adaptDocument(adapted)) };
  return { ...shown, out: out ?? null };
}

/** What was noticed belongs to the envelope. */
function own(report: Told & object): object {
  const { warnings: _, passedOver: _passedOver, ...rest } = report;
  return rest;
}

function lines(
  { listenUri: from, connectUri: to, channels, converted, split, adapted, loaded, tls }: Relayed,
  out: string | undefined,
): string[] {
  const bytes = channels.reduce((sum, channel) => sum + channel.channelLength, 0);
  const rows = channels.map(({ file, role, channelLength: size }) => [
    safe(file.replace(/\.bin$/u, "")),
    role,
    fileSize(size),
  ]);
  const written = converted === null ? [] : [`main channel rewritten: ${fileSize(converted.streamLength.written)}`];
  return [
    `${fileSize(bytes)} from ${from} to ${to}`,
    ...table(rows, [0, 1]),
    ...written,
    ...(split === null ? [] : [`${count(split.pages.normal)} pages in ${count(split.packets)} multifd packets`]),
    ...(adapted === null ? [] : adaptLines(adapted, `adapted on its way: ${fileSize(adapted.streamLength ?? 0)}`)),
    ...tlsLines(tls),
    ...(channels.some(({ role }) => role === "resumed")
      ? ["a migration that goes on in postcopy: passed unchanged"]
      : []),
    loaded === true
      ? "the destination confirmed that it has loaded everything"
      : "no return path: the destination cannot confirm",
    ...(out === undefined ? [] : [`recorded in ${safe(out)}`]),
  ];
}
