import type { CommandHelp, OptionRow } from "./option-table.js";

export const CONTAINERS_TEXT =
  "Containers are opened automatically: libvirt, qcow2, gzip, bzip2,\nxz, lzop, lz4, zstd.";
export const FILE_TEXT = `FILE may be - (standard input) or a folder (recording).\n${CONTAINERS_TEXT}`;
export const LENIENT: OptionRow = ["--lenient", "skip recoverable errors, with warnings"];
export const ACCEPT_DAMAGE: OptionRow = ["--accept-damage", "--lenient: exit 0 if all that was skipped is listed"];
export const LIMIT: OptionRow = ["--limit NAME=N", "change a decoder limit, e.g. deviceBytes=1G", { many: true }];
export const SNAPSHOT: OptionRow = ["--snapshot S", "which snapshot of a qcow2 image (name or id)"];
export const OFFSET: OptionRow = ["--stream-offset N", "the stream begins at byte N of FILE (2M, 0x200000)"];
export const SCHEMA: OptionRow[] = [
  ["--schema FILE", "use the VMDESCRIPTION of another capture of the", { many: true }],
  ["", "same QEMU and machine; repeatable; none: not even"],
  ["", "the built-in catalogue (qevm catalogue --help)"],
];
export const JSON_OUT: OptionRow = ["--json", "print one JSON document"];
export const JSON_LINES: OptionRow = ["--jsonl", "print one JSON document a line, one for each FILE"];
export const MANY_TEXT =
  "Of several FILEs, one that is refused costs its own line; the exit status is\nthat of the worst.";
export const PAGE_SIZE: OptionRow = ["--page-size N", "target page size if the stream does not show it (4096)"];
export const TLS_HOSTNAME: OptionRow = ["--tls-hostname N", "the name in the destination's certificate (URI's host)"];
export const TLS_AUTHZ: OptionRow = [
  "--tls-authz NAME",
  "only this peer (distinguished name, with *); repeatable",
  { many: true },
];
export const ALLOW: OptionRow = ["--allow ADDRESS", "only peers of it, or of ADDRESS/BITS; repeatable", { many: true }];
export const LISTEN_TEXT =
  "tcp::PORT listens on this machine only (127.0.0.1); tcp:0.0.0.0:PORT on all\naddresses. A connection has 30 seconds to begin like a channel of a migration,\n300 may wait, and others are closed with a message.";
export const KEEP: OptionRow[] = [
  ["--keep-partial", "keep what a failed migration sent (the default);"],
  ["--no-keep-partial", "keep nothing of it"],
];
export const IN_CLEAR: OptionRow = ["--in-clear", "write what came through TLS unencrypted to --out"];
export const TLS_TEXT =
  "CREDS: a folder as QEMU's tls-creds dir= (ca-cert.pem, server- and client-\ncert.pem, -key.pem; or keys.psk), x509,dir=DIR,verify-peer=off, or\npsk,dir=DIR,username=NAME. Every channel is then through TLS.";

/** Options of `qevm fuzz` that select cases. */
const CASES: OptionRow[] = [
  ["--seed N", "the first case's seed (1); the next case has the next"],
  ["--kinds A,B", "kinds with these prefixes: record, footer-id"],
  ["--repair R", "always or never: keep lengths, sums and footers", { values: ["always", "never"] }],
  ["", "right around the damage (default: every other case)"],
  ["--as-is", "damage a container itself, not the stream inside it"],
];
const CAPABILITY: OptionRow = ["--capability C", "set before the load; repeatable", { many: true }];
const SAME_BYTES = "The same FILE, options and seed give the same bytes.";
const CMD_TEXT = "CMD starts a QEMU like the source; -display none -S -qmp stdio\n-incoming defer are added.";

export const CATALOGUE: Readonly<Record<string, CommandHelp>> = {
  list: {
    usage: "[NAME] [--json]",
    line: "the devices that are known, and of which QEMUs",
    options: [JSON_OUT],
    text: "NAME is a device's vmsd as in section names, without its bus: e1000, cpu.",
  },
  learn: {
    usage: "CAPTURE... [--origin TEXT] [--json]",
    line: "add the devices of captures that describe themselves",
    options: [
      ["--origin TEXT", 'which QEMU wrote them: "x86_64 6.2"'],
      ["", "(default: own, and the machine type)"],
      JSON_OUT,
      LENIENT,
      PAGE_SIZE,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: "They are kept in $XDG_DATA_HOME/qevm/catalogue.br (~/.local/share).",
  },
};

export const FUZZ: Readonly<Record<string, CommandHelp>> = {
  decode: {
    usage: "FILE... [--cases N] [--seconds N] [--out DIR] ...",
    line: "run damaged copies through our decoder; a find: exit 1",
    options: [
      ...CASES,
      ["--cases N", "how many"],
      ["--seconds N", "time for all of it (10, without --cases)"],
      ["--jobs N", "threads, 1 to 64 (1)"],
      ["-o, --out DIR", "where to store the cases of finds"],
      JSON_OUT,
      SNAPSHOT,
      OFFSET,
    ],
    text: `FILE may be a recording, too.\n${SAME_BYTES}`,
  },
  make: {
    usage: "FILE --out DIR|- [--cases N] [--seed N] ...",
    line: "write the cases, for any program",
    options: [
      ["-o, --out DIR|-", "a folder with cases.jsonl, or a pipe: a line of"],
      ["", "JSON with the number of bytes, the bytes, ..."],
      ...CASES,
      ["--cases N", "how many (100)"],
      SNAPSHOT,
      OFFSET,
    ],
    text: `FILE may be a recording, too.\n${SAME_BYTES}`,
  },
  qemu: {
    usage: "FILE --out RESULTS [--cases N] [--seed N] ... -- CMD...",
    line: "load each case in a real QEMU: loaded, refused, hung, killed",
    options: [
      ["-o, --out RESULTS", "one line of JSON per case; rerun to resume"],
      ...CASES,
      ["--cases N", "how many (100)"],
      ["--jobs N", "destinations at a time, 1 to 64 (2)"],
      ["--seconds N", "time for one load (10)"],
      CAPABILITY,
      JSON_OUT,
      SNAPSHOT,
      OFFSET,
    ],
    text: `${CMD_TEXT}\n${SAME_BYTES}`,
  },
  minimise: {
    usage: "CASE --out FILE [--tests N] [--json] [-- CMD...]",
    line: "reduce a case to a smaller one with the same outcome",
    options: [
      ["-o, --out FILE", "the smaller case"],
      ["--tests N", "cases tried at most (20000; with CMD 2000)"],
      ["--lenient", "our decoder in its lenient mode; else in its strict one"],
      ["--seconds N", "CMD: time for one load (10)"],
      ["--capability C", "CMD: set before the load; repeatable", { many: true }],
      JSON_OUT,
    ],
    text: `The outcome is our decoder's or, with CMD, a destination's.\n${CMD_TEXT}`,
  },
  report: {
    usage: "RESULTS... [--json]",
    line: "tables of what `qevm fuzz qemu` found",
    options: [JSON_OUT],
  },
};

export const SERVE: Readonly<Record<string, CommandHelp>> = {
  nbd: {
    usage: "FILE [--block NAME] [--listen URI] [--once] [--index FILE]",
    line: "guest memory as a block device that NBD clients read",
    options: [
      ["--block NAME", "only this RAM block, from its first byte on"],
      ["--listen URI", "tcp:HOST:PORT, port 0: any; unix:PATH"],
      ["", "(tcp:127.0.0.1:10809, for this machine only)"],
      ALLOW,
      ["--once", "end when the last client has gone"],
      ["--index FILE", "store an index of the pages there and reuse it"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      ["--json", "print one JSON document once clients may connect"],
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `The default export is guest-physical memory up to the end of main memory; the\nRAM blocks are exports by their names. Read-only. base:allocation shows where\nno memory is (hole) and which pages are zeros.\n${FILE_TEXT}`,
  },
};
