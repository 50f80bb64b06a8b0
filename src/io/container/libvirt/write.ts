import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import type { Readable, Writable } from "node:stream";
import { QevmError } from "../../../bytes/errors.js";
import type { ByteSink } from "../../../bytes/source.js";
import { WritableSink } from "../../transport/writable.js";
import { LIBVIRT_MAGIC } from "../detect.js";
import {
  encodeLibvirtData,
  encodeLibvirtHeader,
  FORMATS,
  LIBVIRT_HEADER_LENGTH,
  type LibvirtData,
  type LibvirtHeader,
} from "./header.js";
import { GzipMembers } from "./gzip-members.js";
import { escaped, withQemuArguments } from "./qemu-arguments.js";

/** The parts of a new save image. */
export interface LibvirtImage {
  /** Header and data area, up to the start of the stream. */
  head: Uint8Array;
  /** One of `FORMATS`. */
  format: string;
}

/** A save image that was read. */
export interface KeptImage {
  header: LibvirtHeader;
  format: string;
  data: LibvirtData;
}

const ZERO_WORDS = Array.from({ length: 14 }, () => 0);
/** Zeros that libvirt adds after the texts, so that the XML can be edited in place (9.0 to 11.3). */
const PADDING = 65_536;

/**
 * The head of a save image. Header fields, cookie and byte order come from the image `kept`, if given; XML or format
 * may differ. The data area keeps its length as long as the texts fit, so that the stream stays at its offset;
 * otherwise it grows and gets libvirt's padding. Errors: usage (no XML, or XML that is not text; a mapped-ram stream
 * would have to move).
 */
export function libvirtImage(
  kept: KeptImage | undefined,
  wanted: {
    xml?: string | undefined;
    format?: string | undefined;
    machine?: string | undefined;
    /** Arguments for QEMU that the domain needs beside: `-global`, `-set`. */
    arguments?: readonly string[] | undefined;
  },
): LibvirtImage {
  const given = wanted.xml ?? kept?.data.xml;
  const xml =
    given === undefined ? undefined : withQemuArguments(withMachine(given, wanted.machine), wanted.arguments ?? []);
  if (xml === undefined) throw new QevmError("usage", "a libvirt save image needs a domain XML");
  if (!/^\s*</u.test(xml) || xml.includes("\0")) throw new QevmError("usage", "this is not a domain XML");
  const format = wanted.format ?? kept?.format ?? "raw";
  const length = kept?.header.dataLength;
  const old = kept?.data.cookie;
  const cookie = old === undefined ? undefined : withMachine(old, wanted.machine);
  const { bytes, cookieOffset } = encodeLibvirtData({ xml, cookie, padding: PADDING }, length);
  if (format === "sparse" && kept?.format === "sparse" && bytes.length !== length) {
    const what = `the new XML does not fit into the ${length} bytes before the pages, whose places are fixed`;
    throw new QevmError("usage", `${what}: choose another compression`);
  }
  const fresh = { magic: LIBVIRT_MAGIC, version: 2, wasRunning: 0, littleEndian: true, unused: ZERO_WORDS };
  const changed = { dataLength: bytes.length, cookieOffset, format: FORMATS.indexOf(format) };
  const header: LibvirtHeader = { ...(kept?.header ?? fresh), ...changed };
  // Version 1 does not record the stream's compression.
  if (format !== "raw") header.version = 2;
  const head = new Uint8Array(LIBVIRT_HEADER_LENGTH + bytes.length);
  head.set(encodeLibvirtHeader(header));
  head.set(bytes, LIBVIRT_HEADER_LENGTH);
  return { head, format };
}

/** A libvirt text with another machine type: in <os><type machine=>, and where QEMU arguments name the old one. */
export function withMachine(xml: string, machine: string | undefined): string {
  if (machine === undefined) return xml;
  const name = escaped(machine);
  const old = TYPE.exec(xml)?.groups?.["machine"];
  const renamed = xml.replaceAll(
    new RegExp(TYPE, "gu"),
    (_, before: string, quote: string) => `${before}${quote}${name}${quote}`,
  );
  if (old === undefined || old === "") return renamed;
  return renamed.replaceAll(
    /(<qemu:arg\s+value=(["']))(?:type=)?([\w.+-]+)(?=[,"'])/gu,
    (all: string, before: string, _: string, found: string) => (found === old ? `${before}${name}` : all),
  );
}

/** The machine type in a domain XML, in single or double quotes. */
const TYPE = /(<type\b[^<>]*?\bmachine=)(["'])(?<machine>[^"'<>]*)\2/u;

/** A sink whose end must be awaited. */
type EndedSink = ByteSink & { end(): Promise<void> };

/**
 * The sink for a save image's stream, after the existing contents of the file: raw, as gzip members by node:zlib,
 * or through the program that libvirt would run, with threads where it has them. Errors: io (the program is missing or fails).
 */
export function streamSink(format: string, file: ByteSink): EndedSink {
  if (format === "raw" || format === "sparse") {
    const hole = file.hole?.bind(file);
    return {
      write: (chunk) => file.write(chunk),
      end: () => Promise.resolve(),
      ...(hole === undefined ? {} : { hole }),
    };
  }
  return format === "gzip" ? new GzipMembers(file) : programSink(format, file);
}

/** The programs that compress by several threads: each takes up to 100 MB a thread (xz). */
const THREADED: ReadonlySet<string> = new Set(["xz", "zstd"]);
const MOST_THREADS = 4;

function programSink(program: string, file: ByteSink): EndedSink {
  const threads = Math.min(MOST_THREADS, availableParallelism());
  const args = threads > 1 && THREADED.has(program) ? ["-c", `-T${threads}`] : ["-c"];
  const child = spawn(program, args, { stdio: "pipe" });
  let said = "";
  child.stderr.setEncoding("utf8");
  child.stderr.on("data", (text: string) => (said = (said + text).slice(-1000)));
  const ended = new Promise<QevmError | undefined>((resolve) => {
    child.on("error", (error) => resolve(new QevmError("io", `${program}: ${error.message}`, { cause: error })));
    child.on("close", (code) => {
      resolve(code === 0 ? undefined : new QevmError("io", `${program} failed (${code}): ${said.trim()}`));
    });
  });
  const drained = drain(child.stdout, file);
  return throughSink(
    child.stdin,
    program,
    drained.then(async (error) => error ?? (await ended)),
  );
}

/** Copies the output to the file. Returns an error instead of throwing it. */
async function drain(from: Readable, file: ByteSink): Promise<Error | undefined> {
  try {
    for await (const chunk of from) await file.write(chunk as Uint8Array);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new QevmError("io", String(error));
  }
}

/** A sink into a compressor whose output ends when `ended` resolves. */
function throughSink(into: Writable, name: string, ended: Promise<Error | undefined>): EndedSink {
  const sink = new WritableSink(into, name);
  const failing = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      // The error of the output side explains more than a closed input.
      throw (await ended) ?? error;
    }
  };
  return {
    write: async (chunk) => await failing(sink.write(chunk)),
    end: async () => {
      await failing(sink.end());
      const error = await ended;
      if (error !== undefined) throw error;
    },
  };
}
