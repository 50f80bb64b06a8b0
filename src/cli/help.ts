/** The help of one command. Lines have at most 80 columns. */
interface CommandHelp {
  /** The arguments, after `qevm NAME`. */
  usage: string;
  /** One line for the overview. */
  line: string;
  /** Options and their descriptions. */
  options?: [string, string][];
  /** Text after the options. */
  text?: string;
  /** Actions (the first argument), each with its own options: `qevm NAME ACTION --help`. */
  actions?: Readonly<Record<string, CommandHelp>>;
}

const FILE_TEXT =
  "FILE may be - (standard input) or a folder (recording).\nContainers are opened automatically: libvirt, qcow2, gzip, bzip2,\nxz, lzop, lz4, zstd.";
const LENIENT: [string, string] = ["--lenient", "skip recoverable errors, with warnings"];
const LIMIT: [string, string] = ["--limit NAME=N", "change a decoder limit, e.g. deviceBytes=1G"];
const SNAPSHOT: [string, string] = ["--snapshot S", "which snapshot of a qcow2 image (name or id)"];
const OFFSET: [string, string] = ["--stream-offset N", "the stream begins at byte N of FILE (2M, 0x200000)"];
const SCHEMA: [string, string][] = [
  ["--schema FILE", "use the VMDESCRIPTION of another capture of the"],
  ["", "same QEMU and machine; repeatable"],
];
const JSON_OUT: [string, string] = ["--json", "print one JSON document"];
const PAGE_SIZE: [string, string] = ["--page-size N", "target page size if the stream does not show it (4096)"];

/** Options of `qevm fuzz` that select cases. */
const CASES: [string, string][] = [
  ["--seed N", "the first case's seed (1); the next case has the next"],
  ["--kinds A,B", "kinds with these prefixes: record, footer-id"],
  ["--repair R", "always or never: keep lengths, sums and footers"],
  ["", "right around the damage (default: every other case)"],
  ["--as-is", "damage a container itself, not the stream inside it"],
];
const CAPABILITY: [string, string] = ["--capability C", "set before the load; repeatable"];
const SAME_BYTES = "The same FILE, options and seed give the same bytes.";
const CMD_TEXT = "CMD starts a QEMU like the source; -display none -S -qmp stdio\n-incoming defer are added.";

const FUZZ: Readonly<Record<string, CommandHelp>> = {
  decode: {
    usage: "FILE... [--cases N] [--seconds N] [--out DIR] ...",
    line: "run damaged copies through our decoder; a find: exit 1",
    options: [
      ...CASES,
      ["--cases N", "how many"],
      ["--seconds N", "time for all of it (10, without --cases)"],
      ["--jobs N", "threads, 1 to 64 (1)"],
      ["--out DIR", "where to store the cases of finds"],
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
      ["--out DIR|-", "a folder with cases.jsonl, or a pipe: a line of"],
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
      ["--out RESULTS", "one line of JSON per case; rerun to resume"],
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
      ["--out FILE", "the smaller case"],
      ["--tests N", "cases tried at most (20000; with CMD 2000)"],
      ["--lenient", "our decoder in its lenient mode; else in its strict one"],
      ["--seconds N", "CMD: time for one load (10)"],
      ["--capability C", "CMD: set before the load; repeatable"],
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

export const COMMANDS: Readonly<Record<string, CommandHelp>> = {
  inspect: {
    usage: "FILE [--json] [--lenient] [--page-size N]",
    line: "what is in a stream: machine, RAM, sections, devices",
    options: [JSON_OUT, LENIENT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    text: FILE_TEXT,
  },
  devices: {
    usage: "FILE [NAME] [--json] [--lenient] [--page-size N]",
    line: "device state as named values",
    options: [JSON_OUT, LENIENT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    text: `NAME is a section name ("cpu") or name/instance ("cpu/0"); without it all\ndevices are listed. ${FILE_TEXT}`,
  },
  verify: {
    usage: "FILE [--json] [--lenient] [--page-size N]",
    line: "decode, re-encode and compare every byte",
    options: [JSON_OUT, LENIENT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    text: `Compressed pages are compressed again at the detected level, XBZRLE pages are\nencoded again from the old and the new page. Exit 1 when any byte differs.\n${FILE_TEXT}`,
  },
  explain: {
    usage: 'FILE ["QEMU\'s error text"] [--json] [--page-size N]',
    line: "why a QEMU refuses a stream, and what can be done",
    options: [JSON_OUT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    text: `The text is what QEMU printed, one line or all of it, quoted: "$(cat err.log)".\nWithout it: what a destination must look like and which releases load it.\nExit 1 when the file itself is damaged; an unknown text is not an error.\n${FILE_TEXT}`,
  },
  report: {
    usage: "FILE --out report.html [--title TEXT] [--page-size N] ...",
    line: "write a self-contained HTML report",
    options: [
      ["--out PATH", "the page to make, written atomically; - for stdout"],
      ["--title TEXT", "its heading (the file's name)"],
      ["--no-verify", "do not re-encode and compare: a third of the time,"],
      ["", "and much less where pages are compressed"],
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `The page is self-contained, without network or scripts. A damaged file gives a\nreport too, with everything before and after the damage; the exit status is\nthen 1. Long parts are shortened, as the page says. A pipe is read through a\ntemporary file. ${FILE_TEXT}`,
  },
  diff: {
    usage: "A B [--json] [--lenient] [--page-size N]",
    line: "compare two streams by content, whatever their encoding",
    options: [
      ["--json", "one JSON document with every page range and value"],
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      ["--snapshot S", "which snapshot of a qcow2 image; twice: of A and of B"],
      ["--stream-offset N", "where a stream begins in its file; twice: A and B"],
      LIMIT,
    ],
    text: `Exit 0: a destination gets the same of both (in the same bytes, or written in\nanother way); 1: it does not, or a file is wrong (then the message on stderr\nsays which file and which byte, --json has "error"); 2: usage. Compared are the\nlast contents of pages, device values, sections, block list, configuration.\nA or B may be - (standard input) or a folder (recording); what cannot be read\ntwice is kept in a temporary file.\n${FILE_TEXT.split("\n")[1]}`,
  },
  extract: {
    usage: "FILE --out PATH --format blocks|raw|elf|lime|kdump",
    line: "guest memory as files",
    options: [
      ["--out PATH", "the file to make; for blocks a folder, new or empty"],
      ["--format F", "blocks: one sparse file per RAM block, see blocks.json"],
      ["", "raw: guest-physical memory, sparse; elf: core, CPU notes"],
      ["", "lime: ranges with headers, as LiME writes them"],
      ["", "kdump: compressed dump for crash and makedumpfile"],
      ["--paging", "elf: with the virtual addresses of all CPUs"],
      ["--from N", "only guest-physical addresses N and above"],
      ["--length N", "only N bytes of addresses"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      JSON_OUT,
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: FILE_TEXT,
  },
  read: {
    usage: "FILE --physical ADDRESS|--block NAME [--offset N] [--length N]",
    line: "read bytes of guest memory without extracting it",
    options: [
      ["--physical A", "guest-physical address of the first byte"],
      ["--block NAME", "bytes of one RAM block instead"],
      ["--offset N", "from this offset of the block (0)"],
      ["--length N", "how many bytes (256)"],
      ["--raw", "the bytes themselves; else hex, as xxd prints it"],
      ["--index FILE", "store an index of the pages there and reuse it"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      JSON_OUT,
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `One pass over the RAM, since a page may occur again; of a mapped-ram file only\nthe requested pages are read. An index that is damaged, or whose file has\nchanged, is made again. Pipes and compressed files go through a temporary\nfile. ${FILE_TEXT}`,
  },
  unpack: {
    usage: "FILE DIR [--json] [--page-size N]",
    line: "unpack a stream into a folder of editable files",
    options: [JSON_OUT, LENIENT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    text: `DIR must not exist or must be empty. It gets manifest.json (framing, order,\nids), a sparse file per RAM block in ram/, a JSON file per device in devices/.\n${FILE_TEXT}`,
  },
  pack: {
    usage: "DIR --out FILE [--json]",
    line: "make a stream from an unpacked folder",
    options: [["--out FILE", "written atomically; - for standard output"], JSON_OUT, LIMIT],
    text: "Without edits it is the stream that was unpacked, byte for byte. Edited RAM\nfiles and device values take precedence; compressed pages are compressed again.",
  },
  convert: {
    usage: "FILE --out FILE [--ram normal|zlib] [--flatten] ...",
    line: "rewrite a stream: other page encodings, one round, other machine",
    options: [
      ["--out FILE", "written atomically; - for standard output"],
      ["--ram normal", "plain pages, from compressed and XBZRLE ones"],
      ["--ram zlib", "compressed pages (capability compress, QEMU 2.4 to 9.0)"],
      ["--level N", "zlib: 0 to 9 (1)"],
      ["--threads N", "worker threads, 1 to 64 (1: none)"],
      ["--exact", "zlib: exactly the bytes of QEMU's zlib; slower"],
      ["--engine E", "page, fast (node:zlib) or exact; default: the fastest"],
      ["--flatten", "one round with the last content of every page"],
      ["--machine NAME", "another machine name in the configuration section"],
      ["--drop-vmdescription", "leave out the JSON after the stream's end"],
      ["--add-vmdescription", "add the description used for decoding (--schema)"],
      ["--to FORM", "stream, mapped-ram (QEMU 9.0 on; one round) or libvirt;"],
      ["", "recording: a folder of channels, as multifd sends them"],
      ["--multifd M", "recording: none, zlib or zstd, which stores (none)"],
      ["--channels N", "recording: 1 to 255 multifd channels (2)"],
      ["--qemu VERSION", "recording: for whom (the machine type's, or 7.2)"],
      ["--xml FILE", "libvirt: another domain XML, or that of a new image"],
      ["--compression C", "libvirt: raw gzip bzip2 xz lzop zstd sparse (as it was)"],
      JSON_OUT,
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `Everything else is unchanged, byte for byte. --flatten alone writes plain\npages. ${FILE_TEXT}`,
  },
  adapt: {
    usage: "FILE --out NEW [--check] (-- QEMU ARGS... | --like PATTERN)",
    line: "write a saved guest in the form that another QEMU loads",
    options: [
      ["--out NEW", "written atomically; - for standard output"],
      ["--like PATTERN", "a stream that the destination saved, started with -S"],
      ["--check", "only say what would change, and whether it is enough"],
      ["--print-command", "the destination's command with what the guest needs"],
      ["--machine NAME", "the guest's machine type, if the stream does not say it"],
      ["", "(up to 2.3; default pc-i440fx-2.3)"],
      ["--accept RULE", "take a change that is refused; all takes every one"],
      ["", "that can be; repeatable"],
      JSON_OUT,
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `QEMU ARGS is the destination's command without -incoming. It is started paused,\nand saves what it would write itself: it opens its disks, so the source must\nhave ended. The destination must be started as is printed at the end. A libvirt\nsave image stays one. ${FILE_TEXT}`,
  },
  generate: {
    usage: "--machine none|--template FILE --out FILE ...",
    line: "generate a stream, or change the contents of a capture",
    options: [
      ["--out FILE", "written atomically; - for standard output"],
      ["--machine none", "RAM, timer and globalstate of `-machine none`"],
      ["--memory SIZE", "its RAM (8M); 0: no RAM block"],
      ["--fill F", "zero, text, random, or a file's bytes (zero)"],
      ["--seed N", "another text or random memory (1)"],
      ["--pages E", "normal, zlib or xbzrle (normal)"],
      ["--level N", "compress-level of zlib, 0 to 9 (1)"],
      ["--qemu VERSION", "whose stream: 5.2, 7.2, 10.0, ... (7.2)"],
      ["--template FILE", "a capture that gives everything else"],
      ["--snapshot S", "template: which snapshot of a qcow2 image"],
      ["--stream-offset N", "template: the stream begins at byte N of it"],
      ["--limit NAME=N", "template: change a limit of its decoder; repeatable"],
      ["--ram BLOCK=FILE", "template: other contents of a RAM block; repeatable"],
      ["--set DEV:FIELD=V", "template: another device value; repeatable"],
      JSON_OUT,
    ],
    text: "DEV is a section name (cpu) or name/instance (cpu/0); FIELD and its value are\nwritten as `qevm devices --json` shows them: --set cpu/0:env.eip=0xfff0",
  },
  send: {
    usage: "FILE URI [--max-bandwidth N] [--json]",
    line: "send a stream to a waiting QEMU",
    options: [
      ["--max-bandwidth N", "bytes per second, with K, M or G (no limit)"],
      ["--channels", "a recording channel by channel, to a QEMU with multifd"],
      JSON_OUT,
      ["--lenient", "send FILE even where no stream begins in it"],
      PAGE_SIZE,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `URI is where QEMU waits (-incoming): tcp:HOST:PORT, unix:PATH, exec:COMMAND,\nfd:N. ${FILE_TEXT}`,
  },
  receive: {
    usage: "URI --out DIR|FILE [--as recording|stream] [--json] ...",
    line: "be the destination of a migration and record it",
    options: [
      ["--out PATH", "on disk before the source may end its guest. On failure"],
      ["", "kept: a folder as PATH, a file as PATH.partial"],
      ["--as FORM", "recording: a folder with every channel; stream: one file,"],
      ["", "with the pages of all. Default: recording where PATH is a"],
      ["", "folder or ends with /, or has no extension and there are"],
      ["", "more channels than one"],
      ["--switchover-ack", "for sources of 8.1 to 10.2 that have this capability"],
      JSON_OUT,
    ],
    text: "URI is where to listen: tcp:HOST:PORT (port 0: any), unix:PATH; or what to\nread: exec:COMMAND, fd:N. The source completes: its return path gets replies.",
  },
  relay: {
    usage: "LISTEN-URI CONNECT-URI [--ram normal|zlib] [--out DIR] ...",
    line: "relay a migration between two QEMUs, and change the pages",
    options: [
      ["--ram E", "normal: compressed and XBZRLE pages become plain ones,"],
      ["", "for a destination without these; zlib: the other way"],
      ["--level N", "compress-level of zlib, 0 to 9 (1)"],
      ["--machine NAME", "another machine type in the configuration"],
      ["--drop-vmdescription", "leave the VMDESCRIPTION out"],
      ["--out DIR", "record every channel unchanged"],
      ...SCHEMA,
      LENIENT,
      PAGE_SIZE,
      LIMIT,
      JSON_OUT,
    ],
    text: "In the source: migrate LISTEN-URI; the destination waits at CONNECT-URI\n(tcp:HOST:PORT, unix:PATH). Without options every byte is relayed\nunchanged, in both directions and on every channel, postcopy too. Pages in\nmultifd channels cannot be changed. Exit 1 if the destination reports failure.",
  },
  fuzz: {
    usage: "decode|make|qemu|minimise|report FILE ...",
    line: "damaged streams: for our decoder, a real QEMU, or any program",
    actions: FUZZ,
    text: "For details, run qevm fuzz ACTION --help.",
  },
};

/** `qevm --help`. */
export function overview(): string {
  return [
    "qevm: read, check and write QEMU's migration stream",
    "",
    "usage: qevm COMMAND ...",
    "",
    ...aligned(Object.entries(COMMANDS).map(([name, { line }]) => [name, line])),
    "",
    "For details, run qevm COMMAND --help. Results go to stdout, messages to stderr.",
    "Exit 0: fine; 1: the input is wrong (the message gives the byte offset) or an\noutput could not be written; 2: usage; 70: an error of this\nprogram, please report it (QEVM_DEBUG=1 prints its stack).",
    "",
  ].join("\n");
}

/** `qevm NAME --help`, or the help of one of its actions. */
export function helpFor(name: string, action?: string): string {
  const command = own(COMMANDS, name);
  if (command === undefined) return `qevm: unknown command ${JSON.stringify(name)}\n\n${overview()}`;
  const chosen = own(command.actions ?? {}, action ?? "");
  const { usage, line, options, actions, text } = chosen ?? command;
  const lines = [`usage: qevm ${name} ${chosen === undefined ? "" : `${action} `}${usage}`, "", line, ""];
  if (actions !== undefined) lines.push(...aligned(Object.entries(actions).map(([one, help]) => [one, help.line])), "");
  if (options !== undefined) lines.push(...aligned(options), "");
  if (text !== undefined) lines.push(text, "");
  return lines.join("\n");
}

function own(helps: Readonly<Record<string, CommandHelp>>, name: string): CommandHelp | undefined {
  return Object.hasOwn(helps, name) ? helps[name] : undefined;
}

/** Aligns rows in two columns. */
function aligned(rows: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
