import { strangeName, type DamageKind, type Work } from "../damage.js";
import { ascii, be, concat, str8 } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to the framing: header, configuration, section headers, footers, commands, EOF. */
export const STREAM_KINDS: readonly DamageKind[] = [
  { name: "header-magic", apply: (work) => header(work, 0, "magic") },
  { name: "header-version", apply: (work) => header(work, 4, "version") },
  {
    name: "configuration-length",
    apply: (work) =>
      configuration(
        work,
        (_, view) => {
          view.setUint32(1, Number(edge(work.random, 32, BigInt(view.getUint32(1)))));
        },
        "length of the machine name",
      ),
  },
  { name: "configuration-machine", apply: machine },
  {
    name: "configuration-subsection",
    apply: (work) =>
      configuration(
        work,
        (all) =>
          concat(
            all,
            [5],
            str8(`configuration/${work.random.pick(["x", "uuid", "capabilities", "target-page-bits"])}`),
            be(1, 4),
            work.random.bytes(work.random.below(24)),
          ),
        "one more subsection",
      ),
  },
  {
    name: "configuration-page-bits",
    apply: (work) =>
      configuration(
        work,
        (all) =>
          concat(
            all,
            [5],
            str8("configuration/target-page-bits"),
            be(1, 4),
            be(work.random.pick([0, 9, 10, 13, 16, 20, 21, 31, 64]), 4),
          ),
        "target page bits",
      ),
  },
  {
    name: "configuration-capabilities",
    apply: (work) =>
      configuration(
        work,
        (all) => concat(all, [5], str8("configuration/capabilities"), be(1, 4), capabilities(work)),
        "capabilities",
      ),
  },
  { name: "configuration-missing", apply: (work) => missing(work, "configuration") },
  {
    name: "section-type",
    apply: (work) =>
      section(work, (all) => void (all[0] = work.random.pick([0, 2, 3, 5, 6, 7, 8, 9, 0x7e, 0xff])), "type"),
  },
  {
    name: "section-id",
    apply: (work) =>
      section(
        work,
        (_, view) => {
          view.setUint32(1, Number(edge(work.random, 32, BigInt(view.getUint32(1)))));
        },
        "section_id",
        true,
      ),
  },
  { name: "section-idstr", apply: idstr },
  { name: "section-instance", apply: (work) => fullSection(work, 0, "instance_id") },
  { name: "section-version", apply: (work) => fullSection(work, 4, "version_id") },
  { name: "section-start-again", apply: startAgain },
  {
    name: "section-of-nothing",
    apply: (work) =>
      inserted(work, concat([work.random.pick([2, 3])], be(work.random.u32(), 4)), "a PART of no section"),
  },
  {
    name: "section-unknown-iterative",
    apply: (work) =>
      inserted(
        work,
        concat(
          [1],
          be(200, 4),
          str8(work.random.pick(["block", "dirty-bitmap", "spapr/htab", "x"])),
          be(0, 4),
          be(1, 4),
          work.random.bytes(64),
        ),
        "an iterative section",
      ),
  },
  {
    name: "footer-id",
    apply: (work) =>
      footer(
        work,
        (_, view) => {
          view.setUint32(1, Number(edge(work.random, 32, BigInt(view.getUint32(1)))));
        },
        "another section_id",
      ),
  },
  { name: "footer-missing", apply: (work) => missing(work, "footer") },
  { name: "footer-twice", apply: (work) => footer(work, (all) => concat(all, all), "twice") },
  { name: "command-any", apply: command },
  {
    name: "command-length",
    apply: (work) =>
      inserted(
        work,
        concat(
          [8],
          be(1 + work.random.below(12), 2),
          be(edge(work.random, 16), 2),
          work.random.bytes(work.random.below(32)),
        ),
        "a command with a wrong length",
        "command",
      ),
  },
  { name: "command-packaged", apply: packaged },
  { name: "command-discard", apply: (work) => inserted(work, discard(work), "POSTCOPY_RAM_DISCARD", "command") },
  { name: "eof-early", apply: (work) => inserted(work, Uint8Array.of(0), "EOF", "eof") },
  { name: "eof-missing", apply: (work) => missing(work, "eof") },
  {
    name: "trailing",
    apply: (work) => (
      work.insert(work.list.length, "rest", work.random.bytes(1 + work.random.below(64))),
      "bytes after the end"
    ),
  },
];

type Change = (all: Uint8Array, view: DataView) => Uint8Array | void;

function header(work: Work, at: number, what: string): string | undefined {
  const index = work.any("header");
  if (index < 0) return undefined;
  work.change(index, (_, view) => {
    if (view.byteLength >= at + 4) view.setUint32(at, Number(edge(work.random, 32, BigInt(view.getUint32(at)))));
  });
  return `header: ${what}`;
}

function configuration(work: Work, change: Change, what: string): string | undefined {
  const index = work.any("configuration");
  if (index < 0 || work.list[index]!.bytes.length < 5) return undefined;
  work.change(index, change);
  return `configuration: ${what}`;
}

function machine(work: Work): string | undefined {
  const name = strangeName(work.random);
  return configuration(
    work,
    (all, view) => {
      const length = Math.min(view.getUint32(1), all.length - 5);
      const count = work.repair ? name.length : length;
      return concat([all[0]!], be(count, 4), ascii(name), all.subarray(5 + length));
    },
    `machine ${JSON.stringify(name.slice(0, 20))}`,
  );
}

function capabilities(work: Work): Uint8Array {
  const { random } = work;
  const names = Array.from({ length: random.below(5) }, () =>
    str8(random.pick(["mapped-ram", "x-ignore-shared", "multifd", "compress", "postcopy-ram", "x"])),
  );
  return concat(be(work.repair ? names.length : edge(random, 32, BigInt(names.length)), 4), ...names);
}

function section(work: Work, change: Change, what: string, footerToo = false): string | undefined {
  const index = work.any("section");
  if (index < 0 || work.list[index]!.bytes.length < 5) return undefined;
  const label = work.label(index);
  work.change(index, change);
  // The footer of the same section follows it.
  const end = footerToo && work.repair ? work.list.findIndex(({ kind }, i) => i > index && kind === "footer") : -1;
  if (end >= 0) work.replace(end, concat([0x7e], work.list[index]!.bytes.subarray(1, 5)));
  return `${what} of ${label}${end >= 0 ? ", in its footer too" : ""}`;
}

function idstr(work: Work): string | undefined {
  const name = strangeName(work.random);
  return section(
    work,
    (all) => {
      if (all.length < 14) return undefined;
      const length = all[5]!;
      return concat(all.subarray(0, 5), str8(name, work.repair ? name.length : length), all.subarray(6 + length));
    },
    `idstr ${JSON.stringify(name.slice(0, 20))}`,
  );
}

function fullSection(work: Work, from: number, what: string): string | undefined {
  const full = work.of("section").filter((i) => work.list[i]!.bytes.length >= 14);
  if (full.length === 0) return undefined;
  const index = work.random.pick(full);
  work.change(index, (all, view) => {
    const at = 6 + all[5]! + from;
    if (at + 4 <= all.length) view.setUint32(at, Number(edge(work.random, 32, BigInt(view.getUint32(at)))));
  });
  return `${what} of ${work.label(index)}`;
}

function startAgain(work: Work): string | undefined {
  const starts = work.of("section").filter((i) => work.list[i]!.bytes[0] === 1);
  if (starts.length === 0) return undefined;
  const from = work.random.pick(starts);
  const end = work.list.findIndex(({ kind }, i) => i > from && kind === "section");
  const copy = work.list.slice(from, end < 0 ? work.list.length : end);
  const to = work.border();
  work.list.splice(to, 0, ...copy);
  return `START of ${work.label(from)} again at #${to}`;
}

function footer(work: Work, change: Change, what: string): string | undefined {
  const index = work.any("footer");
  if (index < 0 || work.list[index]!.bytes.length < 5) return undefined;
  work.change(index, change);
  return `${what} of ${work.label(index)}`;
}

function missing(work: Work, kind: "configuration" | "footer" | "eof"): string | undefined {
  const index = work.any(kind);
  if (index < 0) return undefined;
  const label = work.label(index);
  work.remove(index);
  return `without ${label}`;
}

function inserted(
  work: Work,
  bytes: Uint8Array,
  what: string,
  kind: "section" | "command" | "eof" = "section",
): string {
  const at = work.border();
  work.insert(at, kind, bytes, what);
  return `${what} at #${at}`;
}

/** Payload lengths of the commands, from 0 on; -1: any. */
const COMMAND_LENGTHS: readonly number[] = [0, 0, 4, 16, 0, 0, 19, 4, 0, 0, 5, 0, 7];

function command(work: Work): string {
  const number = work.random.below(COMMAND_LENGTHS.length);
  const length = work.repair ? COMMAND_LENGTHS[number]! : work.random.below(40);
  const bytes = concat([8], be(number, 2), be(length, 2), work.random.bytes(length));
  return inserted(work, bytes, `command ${number} with ${length} bytes`, "command");
}

/** PACKAGED round some of the stream's own parts, and up to eight times round itself. */
function packaged(work: Work): string {
  const { random } = work;
  const from = random.below(work.list.length);
  let blob: Uint8Array = concat(...work.list.slice(from, from + random.below(6)).map(({ bytes }) => bytes));
  const depth = 1 + random.below(8);
  for (let i = 0; i < depth; i++) {
    const length = work.repair ? BigInt(blob.length) : edge(random, 32, BigInt(blob.length));
    blob = concat([8], be(7, 2), be(4, 2), be(length, 4), blob);
  }
  return inserted(work, blob, `PACKAGED ${depth} deep`, "command");
}

function discard(work: Work): Uint8Array {
  const { random, base } = work;
  const name = random.once(3) || base.blocks.length === 0 ? strangeName(random) : random.pick(base.blocks);
  const ranges = Array.from({ length: random.below(14) }, () =>
    concat(be(edge(random, 64), 8), be(edge(random, 64), 8)),
  );
  const payload = concat([0], str8(name), [0], ...ranges);
  return concat([8], be(6, 2), be(payload.length, 2), payload);
}
