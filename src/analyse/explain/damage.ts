import { QevmError } from "../../bytes/errors.js";
import { upstreamMachine } from "../../guest/machines/index.js";
import { UNDESCRIBED } from "../../codec/stream/index.js";
import { distributionWords } from "./words.js";
import type { Context } from "./context.js";
import type { Damage, Remedy } from "./types.js";

/**
 * What becomes of a destination one of whose multifd channels is damaged or cut behind its first packet: its main
 * thread waits for a thread that has ended. Measured with 7.2, 10.0 and 11.1, methods none, zlib and zstd (chapter 81).
 */
const SILENT_DESTINATION =
  "a QEMU (7.2 to 11.1) one of whose multifd channels is damaged or ends early hangs and says nothing: its monitor does not reply, closing the connections does not end it, only SIGKILL does; the source keeps the guest: it goes on after migrate_cancel, or after cont where the source says completed (no return path)";

/** What is wrong in the file itself, in plain words. */
export function explainDamage(context: Context): Damage[] {
  const { survey } = context;
  const all = kinds(survey.damage);
  const first = all.find(({ error }) => isInChannel(error, context));
  return all.map(({ error, times, streamOffsets }) => {
    // What is wrong in channels has one meaning, which is said once.
    const said = error !== first?.error && isInChannel(error, context);
    const means = said ? [] : meaning(error, context);
    return { error, times, streamOffsets, means, remedies: said ? [] : remedies(error, context) };
  });
}

/** Places of a kind of damage that are listed. */
const MOST_PLACES = 20;

/**
 * One of each kind, the first, and how often it is there: what is wrong in a block list is wrong in each of its pages.
 */
function kinds(damage: readonly QevmError[]): Pick<Damage, "error" | "times" | "streamOffsets">[] {
  const found = new Map<string, Pick<Damage, "error" | "times" | "streamOffsets">>();
  for (const error of damage) {
    const kind = `${error.code} ${error.what}`;
    const known = found.get(kind);
    const offsets = error.offset === undefined ? [] : [error.offset];
    if (known === undefined) found.set(kind, { error, times: 1, streamOffsets: offsets });
    else {
      known.times++;
      if (known.streamOffsets.length < MOST_PLACES) known.streamOffsets.push(...offsets);
    }
  }
  return [...found.values()];
}

/** Whether something is wrong in a multifd channel of a recording. */
function isInChannel({ path }: QevmError, { containers }: Context): boolean {
  return containers.includes("recording") && path.some((part) => /^multifd|^packet \d+$/u.test(part));
}

function meaning(error: QevmError, context: Context): string[] {
  const { code, found } = error;
  const { survey } = context;
  const { inspection, eof } = survey;
  if (isInChannel(error, context)) return [SILENT_DESTINATION];
  const left = eof === undefined && inspection.ram.blocks.length > 0 ? partsLeft(inspection.sections) : [];
  switch (code) {
    case "truncated":
      if (inspection.streamVersion !== 3) {
        const none = found === "0" ? "the file is empty" : "the file ends within the header";
        return [`${none}: nothing was written, or the copy failed`];
      }
      return ["the file ends before the stream does: the copy, the disk or the connection broke off", ...left];
    case "bad-magic":
      return ["this is not a stream, nor a container that holds one"];
    case "unsupported-version":
      return ["no QEMU writes this version: the bytes are damaged"];
    case "bad-footer":
      return [
        "where a section ends, its footer does not fit: a byte of it or of the section is damaged. QEMU refuses it there",
      ];
    case "unknown-type":
      return ["no QEMU writes this: the bytes here are damaged, or shifted relative to what comes before", ...left];
    case "unknown-reference":
      return [
        "something is named that the stream has not introduced: the bytes here are damaged, or part of the stream is missing",
      ];
    case "bad-length":
    case "bad-offset":
      return ["a length or offset contradicts the rest of the stream: QEMU refuses it here"];
    case "bad-compressed-data":
      return ["a compressed page is damaged: a QEMU that checks refuses it here"];
    case "bad-xbzrle":
      return ["an XBZRLE page is damaged: QEMU refuses it here"];
    case "bad-description":
      return ["a device's state does not fit its description: one of the two is damaged"];
    case "limit":
      return ["this is larger than in a stream of a real machine: if it is intended, see --limit (spec/71-bounds.md)"];
    case "unsupported":
      return ["qevm does not know this part or where it ends: a QEMU that knows it may load it"];
    default:
      return ["QEMU may refuse it here, or read on in the wrong place"];
  }
}

/** How far a stream went that was cut. */
function partsLeft(sections: Context["survey"]["inspection"]["sections"]): string[] {
  const ended = sections.some(({ section: name, type }) => name === "ram" && type === "end");
  return ended ? ["all of RAM came before the cut"] : ["cut within RAM; no device state saved"];
}

/** Programs that unpack a container to standard output with -dc. */
const UNPACK = new Set(["gzip", "bzip2", "xz", "lzop", "lz4", "zstd"]);

function remedies(error: QevmError, context: Context): Remedy[] {
  const { code } = error;
  const { survey, file, containers } = context;
  if (isInChannel(error, context)) {
    const command = ["qevm", "convert", file, "--lenient", "--out", "NEW"];
    return [
      { what: "make one plain stream of what can be read: pages that are not in it keep older contents", command },
    ];
  }
  const { inspection, stopped } = survey;
  if (code === "bad-magic" || inspection.streamVersion !== 3) return [];
  if (stopped?.offset !== undefined && stopped.code !== "truncated") return beforeStop(context, stopped.offset);
  const found: Remedy[] = [{ what: "read everything before it", command: ["qevm", "inspect", file, "--lenient"] }];
  if (inspection.ram.blocks.length > 0 && !containers.includes("recording")) {
    found.push({
      what: "save the memory that came before it",
      command: ["qevm", "extract", file, "--out", "DIR", "--format", "blocks", "--lenient"],
    });
  }
  return found;
}

/**
 * Where even a lenient reader stops: everything before that byte, as a stream that was cut there, which it can read.
 */
function beforeStop({ survey, file, containers }: Context, offset: number): Remedy[] {
  const [wrapping] = containers;
  // Offsets in a save image that is not compressed are those of the file.
  const plain = wrapping === undefined || wrapping === "libvirt";
  if (containers.length > 1 || (!plain && !UNPACK.has(wrapping))) return [];
  const name = `'${file.replaceAll("'", String.raw`'\''`)}'`;
  const bytes = plain ? `head -c ${offset} ${name}` : `${wrapping} -dc ${name} | head -c ${offset}`;
  const found: Remedy[] = [
    { what: "read everything before it", command: ["sh", "-c", `${bytes} | qevm inspect - --lenient`] },
  ];
  if (survey.inspection.ram.blocks.length > 0) {
    found.push({
      what: "save the memory that came before it",
      command: ["sh", "-c", `${bytes} | qevm extract - --out DIR --format blocks --lenient`],
    });
  }
  return found;
}

/**
 * A change to a libvirt save image makes a save image again, which libvirt restores; what only takes the stream out
 * stays.
 */
export function keepContainer(remedy: Remedy, containers: readonly string[]): Remedy[] {
  const { command } = remedy;
  const out = command?.indexOf("--out") ?? -1;
  if (containers[0] !== "libvirt" || command?.[1] !== "convert" || command.length <= out + 2) return [remedy];
  if (command.includes("libvirt")) return [remedy];
  const to = command.indexOf("--to");
  // A sparse image is a mapped-ram file: the plain stream of it is a raw image.
  const change =
    to < 0 ? [...command, "--to", "libvirt"] : [...command.slice(0, to), "--to", "libvirt", "--compression", "raw"];
  return [
    { ...remedy, command: change },
    { what: "and let libvirt restore that", command: ["virsh", "restore", command[out + 1] ?? "NEW"] },
  ];
}

/** As `keepContainer`, where there is room for one remedy: the next one is put into words. */
export function keptInOne(remedy: Remedy, containers: readonly string[]): Remedy {
  const [first = remedy, next] = keepContainer(remedy, containers);
  return next?.command === undefined ? first : { ...first, what: `${first.what}; then ${next.command.join(" ")}` };
}

/** What is noteworthy and no damage. */
export function noticed({ survey, containers }: Context): string[] {
  const { inspection, damage } = survey;
  const notes: string[] = [];
  const {
    undecoded,
    opaqueBytes,
    trailingBytes,
    complete,
    sections,
    commands,
    uncheckedPayloads: unchecked,
  } = inspection;
  for (const { message, path } of inspection.warnings) if (path[0] === "libvirt header") notes.push(message);
  if (undecoded.length > 0) {
    const undescribed = undecoded.some(({ reason }) => reason === UNDESCRIBED);
    notes.push(
      `${opaqueBytes} bytes are not understood, from byte 0x${undecoded[0]!.streamOffset.toString(16)}: ${undecoded[0]!.reason}${undescribed ? ". QEMU needs no description and may load it all the same; --schema CAPTURE of the same QEMU and machine reads it here" : ""}`,
    );
  }
  if (trailingBytes > 0) notes.push(`${trailingBytes} bytes follow the end of the stream: QEMU ignores them`);
  if (unchecked > 0) {
    notes.push(`the payloads of ${unchecked} pages were not checked: qevm verify decompresses them`);
  }
  if (!complete && damage.length === 0) notes.push("the stream ends before its EOF");
  const upstream = upstreamMachine(inspection.machine);
  if (inspection.machine !== null && upstream?.alias !== undefined) {
    notes.push(
      `${inspection.machine} is ${distributionWords(upstream.alias)} of ${upstream.name}: a QEMU that does not have that name loads it renamed (qevm convert --machine ${upstream.name})`,
    );
  }
  const ram = sections.some(({ section: name }) => name === "ram");
  if (ram && complete && !sections.some(({ section: name, type }) => name === "ram" && type === "end")) {
    notes.push("the memory has no END section: a background snapshot, which loads like any other");
  }
  if (containers.includes("recording")) {
    notes.push(
      "a recording of several channels: qevm convert makes one plain stream of it, which needs no capability for them; qevm send --channels sends it channel by channel, to a destination with what the source had: multifd and as many channels, or postcopy",
    );
    if (!commands.some(({ name }) => name === "PACKAGED")) notes.push(SILENT_DESTINATION);
  }
  if (commands.some(({ name }) => name === "PACKAGED")) {
    notes.push(
      "the source switched to postcopy: such a stream needs a destination with a return path, and does not load from a file or pipe",
    );
  }
  return notes;
}
