/** The manual page, made from the table of options when the project is built. */
import { COMMANDS } from "./help.js";
import { type CommandHelp, GENERAL, optionsOf } from "./option-table.js";

/** `qevm.1` in groff's man macros. The same table and version give the same text. */
export function manPage(version: string): string {
  const blocks = [
    `.TH QEVM 1 "" "qevm ${version}" "User Commands"`,
    ".SH NAME",
    String.raw`qevm \- read, check and write QEMU's migration stream`,
    ".SH SYNOPSIS",
    ".B qevm",
    ".I COMMAND",
    ".RI [ ARGUMENTS ]",
    ".SH DESCRIPTION",
    "Results go to standard output, messages to standard error.",
    "FILE may be \\- for standard input, or a folder with every channel of a migration.",
    ".SH COMMANDS",
    ...Object.entries(COMMANDS).flatMap(([name, help]) => command(name, help)),
    ".SH OPTIONS OF EVERY COMMAND",
    ...GENERAL.flatMap(([written, text]) => [".TP", `.B ${plain(written)}`, plain(text)]),
    ".SH EXIT STATUS",
    ...[
      ["0", "done; the same; sound"],
      [
        "1",
        "an answer that is bad news: the input is damaged or no stream, two streams differ, --lenient skipped something",
      ],
      [
        "2",
        "no answer: wrong usage, a file that cannot be read or written, a lost peer, a limit, what has no codec here; diff: one side is refused",
      ],
      ["70", "an error of this program: please report it"],
    ].flatMap(([status = "", text = ""]) => [".TP", `.B ${status}`, plain(text)]),
    ".SH ENVIRONMENT",
    ...[
      ["NO_COLOR", "where it is not empty, no colours, unless --color says otherwise"],
      ["FORCE_COLOR", "where it is neither empty nor 0, colours without a terminal, too"],
      ["XDG_DATA_HOME", "the folder with qevm/catalogue.br, what catalogue learn adds (~/.local/share)"],
      ["QEVM_DEBUG", "1: an error of this program prints its stack"],
    ].flatMap(([name = "", text = ""]) => [".TP", `.B ${name}`, plain(text)]),
  ];
  return `${blocks.join("\n")}\n`;
}

function command(name: string, { usage, line, actions, text = "", ...help }: CommandHelp): string[] {
  const head = [`.SS qevm ${plain(name)} ${plain(usage)}`, plain(sentence(line))];
  if (actions !== undefined) {
    return [...head, ...Object.entries(actions).flatMap(([action, own]) => command(`${name} ${action}`, own))];
  }
  const general = new Set(GENERAL.map(([written]) => written));
  const options = optionsOf({ usage, line, ...help }).flatMap(({ name: long, short, value, text: what }) => {
    const written = `${short === undefined ? "" : `-${short}, `}--${long}${value === undefined ? "" : ` ${value}`}`;
    return general.has(written) ? [] : [".TP", `.B ${plain(written)}`, plain(what)];
  });
  return [...head, ...options, ...(text === "" ? [] : [".PP", ...text.split("\n").map(plain)])];
}

function sentence(line: string): string {
  return `${line.slice(0, 1).toUpperCase()}${line.slice(1)}.`;
}

/** Text that roff does not take for requests or escapes. */
function plain(text: string): string {
  return text
    .replaceAll("\\", String.raw`\e`)
    .replaceAll("-", String.raw`\-`)
    .replaceAll(/^(?=[.'])/gmu, String.raw`\&`);
}
