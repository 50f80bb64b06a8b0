/** Texts about page records. Source: QEMU migration/ram.c, migration/ram-compress.c (5.2 to 11.1). */
import { hex } from "../../../bytes/errors.js";
import { RamFlag } from "../../../codec/ram/index.js";
import {
  damageNote,
  damageOffset,
  elsewhere,
  numberOf,
  verify,
  type Answer,
  type Context,
  type Parts,
} from "../context.js";
import type { FirstRecord } from "../survey.js";
import type { Remedy } from "../types.js";
import { at, counted, quoted } from "../words.js";
import { blockIn } from "./blocks.js";

/** Where a record is: `at byte 0x2f1, page 0x1000 of "pc.ram"`. */
function recordWords({ offset, block, page }: FirstRecord): string {
  return `${at(offset)}${block === undefined ? "" : `, page ${hex(page)} of ${quoted(block)}`}`;
}

const FLAG_NAMES: readonly [number, string][] = [
  [0x01, "FULL"],
  [RamFlag.ZERO, "ZERO"],
  [RamFlag.MEM_SIZE, "MEM_SIZE"],
  [RamFlag.PAGE, "PAGE"],
  [RamFlag.EOS, "EOS"],
  [RamFlag.CONTINUE, "CONTINUE"],
  [RamFlag.XBZRLE, "XBZRLE"],
  [RamFlag.HOOK, "HOOK"],
  [RamFlag.COMPRESS_PAGE, "COMPRESS_PAGE"],
  [RamFlag.MULTIFD_FLUSH, "MULTIFD_FLUSH"],
];

function flagNames(value: number): string {
  const names = FLAG_NAMES.filter(([bit]) => (value & bit) !== 0).map(([, name]) => name);
  const left = value & ~FLAG_NAMES.reduce((all, [bit]) => all | bit, 0);
  if (left !== 0) names.push(`unknown bits ${hex(left)}`);
  return names.length === 0 ? "no flag at all" : names.join(" and ");
}

/** "Unknown combination of migration flags: 0x120". */
export function pageFlags({ flags: text = "0" }: Parts, context: Context): Answer {
  const { survey } = context;
  const value = Number.parseInt(text, 16);
  const kind = value & ~RamFlag.CONTINUE;
  const record = survey.first.get(kind);
  if (kind === RamFlag.COMPRESS_PAGE) return compressedPages(context, hex(value));
  if (record !== undefined && kind === RamFlag.MULTIFD_FLUSH) {
    return {
      about: { streamOffset: record.offset, value: hex(value) },
      here: `the first MULTIFD_FLUSH record is ${at(record.offset)}`,
      why: "QEMU knows MULTIFD_FLUSH (0x200) since 8.1, and 8.1 writes it even without multifd: releases before do not load it",
      remedies: { what: "load it in 8.1 or later" },
    };
  }
  const [first] = survey.damage;
  const why = [
    `${hex(value)} is ${flagNames(value)}: a page record must have exactly one kind, and CONTINUE beside it at most`,
  ];
  if (kind === 0)
    why.push(
      "releases up to 8.2 or so read on as zeros when the stream ends inside the pages, and say this: it may mean no more than that the file is cut off",
    );
  return {
    about: { streamOffset: damageOffset(context), value: hex(value) },
    here: damageNote(
      context,
      record === undefined
        ? "no record of this file has these flags: the text is about another file, or the loader lost its place"
        : `the first such record is ${recordWords(record)}`,
    ),
    why,
    remedies: first && salvage(context),
  };
}

/** What is left of a file whose pages are damaged. */
function salvage({ file }: Context): Remedy {
  return {
    what: "what comes before the damage can be read",
    command: ["qevm", "extract", file, "--out", "DIR", "--format", "blocks", "--lenient"],
  };
}

/** "Received an unexpected compressed page", and 9.1's words for it. */
export function unexpectedCompressed(_: Parts, context: Context): Answer {
  return compressedPages(context, undefined);
}

function compressedPages(context: Context, value: string | undefined): Answer {
  const { survey, file } = context;
  const record = survey.first.get(RamFlag.COMPRESS_PAGE);
  const { compressed } = survey.inspection.ram.pages;
  const convert: Remedy = {
    what: "write the pages plain: every release loads them, without a capability",
    command: ["qevm", "convert", file, "--out", "NEW", "--ram", "normal"],
  };
  const capability: Remedy = {
    what: "or, in QEMU 2.4 to 9.0, set the capability on the destination",
    monitor: ["migrate_set_capability compress on"],
  };
  return {
    about: {
      streamOffset: record === undefined ? damageOffset(context) : record.offset,
      block: record && (record.block ?? ""),
      value: value ?? hex(RamFlag.COMPRESS_PAGE),
    },
    here:
      record === undefined
        ? `this file has no compressed page${elsewhere(context)}`
        : `${counted(compressed, "page")} of this file ${compressed === 1 ? "is" : "are"} compressed; the first COMPRESS_PAGE record is ${recordWords(record)}`,
    why:
      value === undefined
        ? "QEMU 2.10 to 9.0 load compressed pages only with the capability compress on at the destination too"
        : "QEMU 9.1 removed compressed pages (flag 0x100): to it the record is of no known kind",
    remedies: record && [convert, value === undefined && capability],
  };
}

/** "Invalid compressed data length: N", "decompress data failed". */
export function compressedData({ length }: Parts, context: Context): Answer {
  const record = context.survey.first.get(RamFlag.COMPRESS_PAGE);
  return {
    about: { streamOffset: damageOffset(context), value: numberOf(length) },
    here: damageNote(
      context,
      record === undefined ? "this file has no compressed page" : `the first compressed page is ${recordWords(record)}`,
    ),
    why:
      length === undefined
        ? "a COMPRESS_PAGE payload did not inflate to a page. In streams of QEMU up to 2.12 that can be so without harm (the page comes again): machine types up to 2.12 have decompress-error-check off"
        : `${length} bytes are more than deflate can make of a page: the length, or what comes before it, is damaged`,
    remedies: [verify(context, "find the page"), salvage(context)],
  };
}

/** "Failed to load XBZRLE page - ...", "Failed to decompress XBZRLE page at X". */
export function xbzrle({ page }: Parts, context: Context): Answer {
  const record = context.survey.first.get(RamFlag.XBZRLE);
  return {
    about: { streamOffset: damageOffset(context) ?? record?.offset, value: page },
    here: damageNote(
      context,
      record === undefined ? "this file has no XBZRLE page" : `the first XBZRLE record is ${recordWords(record)}`,
    ),
    why: "an XBZRLE record is u8 1, a length of at most a page, and pairs of runs; something else is there",
    remedies: [verify(context, "find the page"), salvage(context)],
  };
}

/** "Found a zero page with value 65". */
export function zeroPage({ fill = "0" }: Parts, context: Context): Answer {
  const record = context.survey.first.get("fill");
  return {
    about: { streamOffset: record?.offset, block: record && (record.block ?? ""), value: Number(fill) },
    here:
      record === undefined
        ? `every ZERO record of this file fills with 0${elsewhere(context)}`
        : `the first ZERO record with another byte stands ${recordWords(record)}: byte ${record.fill}`,
    why: "QEMU 8.2 and later take a ZERO record only with byte 0; earlier ones filled the page with it. QEMU writes nothing else since 1.5",
    remedies: record && {
      what: "write such pages out as plain pages, in one round",
      command: ["qevm", "convert", context.file, "--out", "NEW", "--flatten"],
    },
  };
}

/** "Can't find block x", "Ack, bad migration stream!", "Illegal RAM offset X". */
export function pagePlace({ block, page }: Parts, context: Context): Answer {
  const { survey } = context;
  const [first] = survey.damage;
  const listed = block === undefined || survey.blocks.has(block);
  const here = damageNote(context);
  if (here.length === 0 && block !== undefined) here.push(blockIn(block, context));
  if (here.length === 0)
    here.push(
      "every page of this file lies in a block of its list: the text is about another file, or the loader lost its place",
    );
  const offset = numberOf(page, 16);
  const why =
    block !== undefined
      ? `a page record names the block ${quoted(block)}, which ${listed ? "the destination does not have" : "is not in the block list"}`
      : offset === undefined
        ? "a page record says CONTINUE (the block of the page before) and there was none before"
        : `the page's offset ${hex(offset)} is not inside its block${offset === 0 ? ": said after that the block is not known" : ""}`;
  return {
    about: { block, streamOffset: damageOffset(context), value: offset === undefined ? undefined : hex(offset) },
    here,
    why,
    remedies: first && salvage(context),
  };
}

/** "Getting RAM address failed": 10.0 on; the stream ends in the pages. */
export function addressFailed(_: Parts, context: Context): Answer {
  const [first] = context.survey.damage;
  return {
    about: { streamOffset: damageOffset(context) },
    here: damageNote(context, "this file is whole: what came to QEMU was not"),
    why: "the stream ended where a page record should begin",
    remedies:
      first === undefined
        ? { what: "see whether the connection or the command after exec: ended early" }
        : salvage(context),
  };
}
