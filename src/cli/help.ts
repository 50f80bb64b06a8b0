import {
  ACCEPT_DAMAGE,
  ALLOW,
  CATALOGUE,
  FILE_TEXT,
  FUZZ,
  IN_CLEAR,
  JSON_LINES,
  JSON_OUT,
  KEEP,
  LENIENT,
  LIMIT,
  LISTEN_TEXT,
  MANY_TEXT,
  OFFSET,
  PAGE_SIZE,
  SCHEMA,
  SERVE,
  SNAPSHOT,
  TLS_AUTHZ,
  TLS_HOSTNAME,
  TLS_TEXT,
} from "./help-actions.js";
import { type CommandHelp, GENERAL, helpOf } from "./option-table.js";

const FORMATS = ["blocks", "raw", "elf", "lime", "kdump"];
const TARGETS = ["stream", "mapped-ram", "libvirt", "recording"];
const IMAGES = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"];

/** How a stream is read. */
const READING = [LENIENT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT];

/** The same for what writes its content. */
const WRITING = [LENIENT, ACCEPT_DAMAGE, ...READING.slice(1)];

export const COMMANDS: Readonly<Record<string, CommandHelp>> = {
  inspect: {
    usage: "FILE... [--json|--jsonl] [--lenient] [--page-size N]",
    line: "what is in a stream: machine, RAM, sections, devices",
    options: [JSON_OUT, JSON_LINES, ...READING],
    text: `${MANY_TEXT}\n${FILE_TEXT}`,
  },
  devices: {
    usage: "FILE [NAME] [--json] [--lenient] [--page-size N]",
    line: "device state as named values",
    options: [JSON_OUT, ...READING],
    text: `NAME is a section name ("cpu") or name/instance ("cpu/0"); without it all\ndevices are listed. ${FILE_TEXT}`,
  },
  dump: {
    usage: "FILE [--at BYTE] [--section NAME] [--records] [--jsonl]",
    line: "what is at a byte of the stream, its parts, records and fields",
    options: [
      ["--at BYTE", "the field that contains this byte of the stream"],
      ["--section NAME", "the fields of these sections"],
      ["--records", "the RAM records, a line each"],
      ["--jsonl", "lists: one JSON document a line"],
      ["--json", "--at: print one JSON document"],
      ...READING,
    ],
    text: `Without options: the parts of the stream. BYTE is an address as in messages of\nqevm. After damage decoding goes on at the next part that fits (exit status 1),\nso that what follows is shown, too.\n${FILE_TEXT}`,
  },
  verify: {
    usage: "FILE... [--json|--jsonl] [--lenient] [--page-size N]",
    line: "decode, re-encode and compare every byte",
    options: [JSON_OUT, JSON_LINES, ...READING],
    text: `Compressed pages are compressed again at the detected level, XBZRLE pages are\nencoded again from the old and the new page. Exit 1 when any byte differs.\n${MANY_TEXT}\n${FILE_TEXT}`,
  },
  explain: {
    usage: 'FILE ["QEMU\'s error text"] [--json] [--page-size N]',
    line: "why a QEMU refuses a stream, and what can be done",
    options: [JSON_OUT, PAGE_SIZE, ...SCHEMA, SNAPSHOT, OFFSET, LIMIT],
    refused: { lenient: "explain always continues after damage: it takes no --lenient" },
    text: `The text is what QEMU printed, one line or all of it, quoted; @err.log or @-\nreads it from a file or a pipe. Without it: what a destination must look like\nand which releases load it.\nExit 1 when the file itself is damaged; an unknown text is not an error.\n${FILE_TEXT}`,
  },
  report: {
    usage: "FILE --out report.html [--title TEXT] [--page-size N] ...",
    line: "write a self-contained HTML report",
    options: [
      ["-o, --out PATH", "the page to make, written atomically; - for stdout"],
      ["--title TEXT", "its heading (the file's name)"],
      ["--no-verify", "do not re-encode and compare: a third of the time,"],
      ["", "and much less where pages are compressed"],
      PAGE_SIZE,
      ...SCHEMA,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    refused: {
      json: "a report is a page: inspect, devices and verify have --json",
      lenient: "report always continues after damage: it takes no --lenient",
    },
    text: `The page is self-contained and asks no network; its one script is the search.\nA damaged file gives a report too, with everything before and after the damage;\nthe exit status is then 1. Long parts are shortened, as the page says. A pipe is\nread through a temporary file.\n${FILE_TEXT}`,
  },
  page: {
    usage: "--out qevm.html",
    line: "write an HTML page that shows files dropped on it",
    options: [["-o, --out PATH", "the page, one file; - for stdout"]],
    text: "Open it in a browser and drop a stream, a libvirt save or a qcow2 image on it.\nIt shows what inspect, explain, devices, read, dump, diff and report print.\nThe file is read in the browser: the page needs no network and sends nothing.",
  },
  diff: {
    usage: "A B [--json] [--lenient] [--page-size N]",
    line: "compare two streams by content, whatever their encoding",
    options: [
      ["--stat", "a line for each thing that differs, with numbers"],
      ["--only PATTERN", "only device NAME, NAME:FIELD, a RAM block or a kind of", { many: true }],
      ["", "part (section, command); * for anything; repeatable"],
      ["--ignore PATTERN", "all but these (--ignore '*:*tsc*'); repeatable", { many: true }],
      ["--html FILE", "write a self-contained HTML page, too"],
      ["--json", "one JSON document with every page range and value"],
      LENIENT,
      PAGE_SIZE,
      ...SCHEMA,
      ["--snapshot S", "which snapshot of a qcow2 image; twice: of A and of B", { many: true }],
      ["--stream-offset N", "where a stream begins in its file; twice: A and B", { many: true }],
      LIMIT,
    ],
    text: `Exit 0: a destination gets the same of both (in the same bytes, or written in\nanother way); 1: it does not; 2: a file is refused (the message on stderr\nsays which and at which byte, --json has "error"), or usage. Compared are the\nlast contents of pages, device values, sections, block list, configuration.\nA or B may be - (standard input) or a folder (recording); what cannot be read\ntwice is kept in a temporary file.\n${FILE_TEXT.split("\n")[1]}`,
  },
  extract: {
    usage: "FILE --out PATH --format blocks|raw|elf|lime|kdump",
    line: "guest memory as files",
    options: [
      ["-o, --out PATH", "the file to make; for blocks a folder, new or empty"],
      ["--format F", "blocks: one sparse file per RAM block, see blocks.json", { values: FORMATS }],
      ["", "raw: guest-physical memory, sparse; elf: core, CPU notes"],
      ["", "lime: ranges with headers, as LiME writes them"],
      ["", "kdump: compressed dump for crash (zlib, as -z of QEMU)"],
      ["--paging", "elf: with the virtual addresses of all CPUs"],
      ["--from N", "only guest-physical addresses N and above"],
      ["--length N", "only N bytes of addresses"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      JSON_OUT,
      ...WRITING,
    ],
    text: FILE_TEXT,
  },
  read: {
    usage: "FILE --physical A|--virtual A|--block NAME [--length N] ...",
    line: "read bytes of guest memory without extracting it",
    options: [
      ["--physical A", "guest-physical address of the first byte"],
      ["--virtual A", "virtual address of the first byte (x86: linear)"],
      ["--cpu N", "by the registers of this CPU (the first)"],
      ["--translate", "the page tables that lead to --virtual, not the bytes"],
      ["--string", "text at --virtual up to its NUL, --length N at most (4K)"],
      ["--u64", "64-bit numbers in the byte order of the guest"],
      ["--block NAME", "bytes of one RAM block instead"],
      ["--offset N", "from this offset of the block (0)"],
      ["--length N", "how many bytes (256)"],
      ["--raw", "the bytes themselves; else hex, as xxd prints it"],
      ["--index FILE", "store an index of the pages there and reuse it"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      JSON_OUT,
      ...READING,
    ],
    text: `One pass over the RAM, since a page may occur again; of a mapped-ram file only\nthe requested pages are read. An index that is damaged, or whose file has\nchanged, is made again. Pipes and compressed files go through a temporary\nfile. ${FILE_TEXT}`,
  },
  gdb: {
    usage: "FILE [--listen URI] [--once] [--index FILE] [-- GDB ARGS...]",
    line: "look at a saved guest with a debugger",
    options: [
      ["--listen URI", "tcp:HOST:PORT, port 0: any; unix:PATH"],
      ["", "(tcp:127.0.0.1:1234, for this machine only)"],
      ALLOW,
      ["--once", "end when the last debugger has gone"],
      ["--allow-save", "let clients of a TCP port use monitor save"],
      ["--gdb PROGRAM", "with --: the debugger (gdb-multiarch, or gdb)"],
      ["--index FILE", "store an index of the pages there and reuse it"],
      ["--layout L", "BLOCK@ADDRESS[:OFFSET:LENGTH],... if not detected"],
      ["--json", "print one JSON document once debuggers may connect"],
      ...READING,
    ],
    text: `Registers, memory at virtual addresses and one thread a CPU, as QEMU's -s shows\nthem. With -- gdb is started, connected by a private socket: qevm gdb vm.mig --\nvmlinux -ex bt. The guest does not run. What is written is kept beside it until\nmonitor save FILE writes a new stream; monitor help lists the other commands.\n${FILE_TEXT}`,
  },
  serve: {
    usage: "nbd FILE ...",
    line: "guest memory for other programs, as long as it runs",
    actions: SERVE,
    text: "For details, run qevm serve ACTION --help.",
  },
  unpack: {
    usage: "FILE DIR [--json] [--page-size N]",
    line: "unpack a stream into a folder of editable files",
    options: [JSON_OUT, ...WRITING],
    text: `DIR must not exist or must be empty. It gets manifest.json (framing, order,\nids), a sparse file per RAM block in ram/, a JSON file per device in devices/.\n${FILE_TEXT}`,
  },
  pack: {
    usage: "DIR --out FILE [--json]",
    line: "make a stream from an unpacked folder",
    options: [["-o, --out FILE", "written atomically; - for standard output"], JSON_OUT, LIMIT],
    text: "Without edits it is the stream that was unpacked, byte for byte. Edited RAM\nfiles and device values take precedence; compressed pages are compressed again.",
  },
  convert: {
    usage: "FILE --out FILE [--ram normal|zlib] [--flatten] ...",
    line: "rewrite a stream: other page encodings, one round, other machine",
    options: [
      ["-o, --out FILE", "written atomically; - for standard output"],
      ["--ram normal", "plain pages, from compressed and XBZRLE ones"],
      ["--ram zlib", "compressed pages (capability compress, QEMU 2.4 to 9.0)"],
      ["--level N", "zlib: 0 to 9; zstd: 1 to 20 (1)"],
      ["--threads N", "worker threads, 1 to 64 (1: none)"],
      ["--exact", "zlib: exactly the bytes of QEMU's zlib; slower"],
      ["--engine E", "page, fast (node:zlib) or exact; default: the fastest", { values: ["page", "fast", "exact"] }],
      ["--flatten", "one round with the last content of every page"],
      ["--machine NAME", "another machine name in the configuration section"],
      ["--drop-vmdescription", "leave out the JSON after the stream's end"],
      ["--add-vmdescription", "add the description used for decoding"],
      ["--uncertain HOW", "of it: uncertain devices as bytes, or by layout", { values: ["bytes", "layout"] }],
      ["--to FORM", "stream, mapped-ram (QEMU 9.0 on; one round) or libvirt;", { values: TARGETS }],
      ["", "recording: a folder of channels, as multifd sends them"],
      ["--multifd M", "recording: none, zlib or zstd (none)", { values: ["none", "zlib", "zstd"] }],
      ["--channels N", "recording: 1 to 255 multifd channels (2)"],
      ["--qemu VERSION", "recording: for whom (the machine type's, or 7.2)"],
      ["--xml FILE", "libvirt: another domain XML, or that of a new image"],
      ["--compression C", "libvirt: raw gzip bzip2 xz lzop zstd sparse (as it was)", { values: IMAGES }],
      JSON_OUT,
      ...WRITING,
    ],
    text: `Everything else is unchanged, byte for byte. --flatten alone writes plain\npages. ${FILE_TEXT}`,
  },
  adapt: {
    usage: "FILE --out NEW [--check] (-- QEMU ARGS... | --like PATTERN)",
    line: "write a saved guest in the form that another QEMU loads",
    options: [
      ["-o, --out NEW", "written atomically; - for standard output"],
      ["--like PATTERN", "a stream that the destination saved, started with -S"],
      ["--check", "only say what would change, and whether it is enough"],
      ["--print-command", "the destination's command with what the guest needs"],
      ["--keep-pattern NEW", "also write what that QEMU saved: for relay --like"],
      ["--machine NAME", "the guest's machine type, if the stream does not say it"],
      ["", "(up to 2.3; default pc-i440fx-2.3)"],
      ["--accept RULE", "take a change that is refused; all takes every one", { many: true }],
      ["", "that can be; repeatable"],
      JSON_OUT,
      ...WRITING,
    ],
    text: `QEMU ARGS is the destination's command without -incoming. It is started paused,\nand saves what it would write itself: it opens its disks, so the source must\nhave ended. Properties of its devices that the guest needs (vectors=4) are set.\nThe destination must be started as is printed at the end. A libvirt save image\nstays one, and its XML gets the machine type and those properties.\n${FILE_TEXT}`,
  },
  generate: {
    usage: "--machine none|--template FILE --out FILE ...",
    line: "generate a stream, or change the contents of a capture",
    options: [
      ["-o, --out FILE", "written atomically; - for standard output"],
      ["--machine none", "RAM, timer and globalstate of `-machine none`"],
      ["--memory SIZE", "its RAM (8M); 0: no RAM block"],
      ["--fill F", "zero, text, random, or a file's bytes (zero)", { values: ["zero", "text", "random"] }],
      ["--seed N", "another text or random memory (1)"],
      ["--pages E", "normal, zlib or xbzrle (normal)", { values: ["normal", "zlib", "xbzrle"] }],
      ["--level N", "compress-level of zlib, 0 to 9 (1)"],
      ["--qemu VERSION", "whose stream: 5.2, 7.2, 10.0, ... (7.2)"],
      ["--template FILE", "a capture that gives everything else"],
      ["--snapshot S", "template: which snapshot of a qcow2 image"],
      ["--stream-offset N", "template: the stream begins at byte N of it"],
      ["--limit NAME=N", "template: change a limit of its decoder; repeatable", { many: true }],
      ["--ram BLOCK=FILE", "template: other contents of a RAM block; repeatable", { many: true }],
      ["--set DEV:FIELD=V", "template: another device value; repeatable", { many: true }],
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
      ["--pace recorded", "a recording at the pace at which it came"],
      ["--tls CREDS", "the destination has tls-creds (see below)"],
      TLS_HOSTNAME,
      JSON_OUT,
      ["--lenient", "send FILE even where no stream begins in it"],
      PAGE_SIZE,
      SNAPSHOT,
      OFFSET,
      LIMIT,
    ],
    text: `URI is where QEMU waits (-incoming): tcp:HOST:PORT, unix:PATH, exec:COMMAND,\nfd:N. ${FILE_TEXT}\n${TLS_TEXT}`,
  },
  receive: {
    usage: "URI --out DIR|FILE [--as recording|stream] [--json] ...",
    line: "be the destination of a migration and record it",
    options: [
      ["-o, --out PATH", "on disk before the source may end its guest. On failure"],
      ["", "kept: a folder as PATH, a file as PATH.partial"],
      ["--as FORM", "recording: a folder with every channel; stream: one file,", { values: ["recording", "stream"] }],
      ["", "with the pages of all. Default: recording where PATH is a"],
      ["", "folder or ends with /, or has no extension and there are"],
      ["", "more channels than one"],
      ...KEEP,
      ["--switchover-ack", "for sources with it, of machine types up to 11.0"],
      ["--tls CREDS", "take only sources with tls-creds (see below)"],
      TLS_AUTHZ,
      IN_CLEAR,
      ALLOW,
      JSON_OUT,
    ],
    text:
      "URI is where to listen: tcp:HOST:PORT (port 0: any), unix:PATH; or what to\nread: exec:COMMAND, fd:N. The source completes: its return path gets replies.\n" +
      `${LISTEN_TEXT}\n${TLS_TEXT}`,
  },
  relay: {
    usage: "LISTEN-URI CONNECT-URI [--ram E | --multifd M] [--like F] ...",
    line: "relay a migration between two QEMUs, and change it on the way",
    options: [
      ["--ram E", "normal: compressed and XBZRLE pages become plain ones,", { values: ["normal", "zlib"] }],
      ["", "for a destination without these; zlib: the other way"],
      ["", "pages of multifd channels go into the main channel"],
      ["--level N", "zlib: 0 to 9; zstd: 1 to 20 (1)"],
      ["--multifd M", "pages into multifd channels of the destination: none,", { values: ["none", "zlib", "zstd"] }],
      ["", "zlib or zstd"],
      ["--channels N", "how many, 1 to 255 (2), as in the destination"],
      ["--qemu VERSION", "the destination's (the machine type's, or 7.2)"],
      ["--uuid UUID", "the VM's, where the source has no multifd channels"],
      ["--like PATTERN", "adapt the guest to another QEMU or machine type, by a"],
      ["", "stream that the destination saved, started with -S"],
      ["--accept RULE", "of it: take a change that is refused; repeatable", { many: true }],
      ["--machine NAME", "another machine type in the configuration"],
      ["--set DEV:FIELD=V", "another device value, as of generate; repeatable", { many: true }],
      ["--drop-vmdescription", "leave the VMDESCRIPTION out"],
      ["-o, --out DIR", "record every channel unchanged"],
      ...KEEP,
      ["--listen-tls CREDS", "take only sources with tls-creds (see below)"],
      ["--connect-tls CREDS", "the destination has tls-creds"],
      TLS_AUTHZ,
      TLS_HOSTNAME,
      IN_CLEAR,
      ALLOW,
      ...SCHEMA,
      LENIENT,
      ACCEPT_DAMAGE,
      PAGE_SIZE,
      LIMIT,
      JSON_OUT,
    ],
    text:
      "In the source: migrate LISTEN-URI; the destination waits at CONNECT-URI\n(tcp:HOST:PORT, unix:PATH). Without options every byte is relayed\nunchanged, in both directions and on every channel, postcopy too.\nExit 1 if the destination reports failure or --like refuses something (the\nguest stays with the source), 2 if a side is lost.\n" +
      `${LISTEN_TEXT}\n${TLS_TEXT}`,
  },
  catalogue: {
    usage: "list|learn ...",
    line: "layouts of device state for streams without VMDESCRIPTION",
    actions: CATALOGUE,
    text: "For details, run qevm catalogue ACTION --help.",
  },
  completions: {
    usage: "bash|zsh|fish",
    line: "completions for a shell",
    text: "bash: source <(qevm completions bash); zsh: into a folder of fpath as _qevm;\nfish: into ~/.config/fish/completions/qevm.fish.",
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
    "Exit 0: done, the same, sound; 1: an answer that is bad news: damaged,\ndifferent, or something was skipped; 2: no answer: usage, files, peers, limits;\n70: an error of this program, please report it (QEVM_DEBUG=1 prints its stack).",
    "",
  ].join("\n");
}

/** `qevm NAME --help`, or the help of one of its actions. */
export function helpFor(name: string, action?: string): string {
  const command = helpOf(COMMANDS, [name]);
  if (command === undefined) return `qevm: unknown command ${JSON.stringify(name)}\n\n${overview()}`;
  const chosen = action === undefined ? command : helpOf(COMMANDS, [name, action])!;
  const { usage, line, options, actions, text } = chosen;
  const lines = [`usage: qevm ${name} ${chosen === command ? "" : `${action} `}${usage}`, "", line, ""];
  if (actions !== undefined) lines.push(...aligned(Object.entries(actions).map(([one, help]) => [one, help.line])), "");
  else lines.push(...aligned([...(options ?? []), ...GENERAL]), "");
  if (text !== undefined) lines.push(text, "");
  return lines.join("\n");
}

/** Aligns rows in two columns. */
function aligned(rows: readonly (readonly [string, string, ...unknown[]])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
