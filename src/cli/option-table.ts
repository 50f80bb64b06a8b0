/** What a row of the table of options says of its value, beside its description. */
interface ValueKind {
  /** May be given more than once. */
  many?: boolean;
  /** The values that the option takes. */
  values?: readonly string[];
}

/**
 * A row of the one table of options, from which the command line is parsed and help, completions and man page are made:
 * what is written (`-o, --out FILE`, `--json`), and what it does. An empty first part continues the row before it.
 */
export type OptionRow = readonly [written: string, text: string, kind?: ValueKind];

/** The help of one command. Lines have at most 80 columns. */
export interface CommandHelp {
  /** The arguments, after `qevm NAME`. */
  usage: string;
  /** One line for the overview. */
  line: string;
  /** Options and their descriptions. */
  options?: readonly OptionRow[];
  /** Options that others have and this command refuses, and why. */
  refused?: Readonly<Record<string, string>>;
  /** Text after the options. */
  text?: string;
  /** Actions (the first argument), each with its own options: `qevm NAME ACTION --help`. */
  actions?: Readonly<Record<string, CommandHelp>>;
}

/** One option, as its rows state it. */
export interface Option {
  /** Without hyphens: `out`. */
  name: string;
  /** One letter: `o`. */
  short: string | undefined;
  /** What stands for the value in the help: `FILE`; undefined: a flag. */
  value: string | undefined;
  many: boolean;
  values: readonly string[];
  text: string;
}

/** Values that mark a flag. */
const WRITTEN = /^(?:-(?<short>\w), )?--(?<name>[\w-]+)(?: (?<value>.+))?$/u;

/** Options that every command has; they are listed last. */
export const GENERAL: readonly OptionRow[] = [
  ["-q, --quiet", "no report and no warnings: errors and the exit status"],
  ["-v, --verbose", "lists in full; time and rate on stderr"],
  ["--color WHEN", "auto (on a terminal), always, never; NO_COLOR is obeyed", { values: ["auto", "always", "never"] }],
];

/** The options of a command or action, those of every command included. */
export function optionsOf({ options = [] }: CommandHelp): Option[] {
  const found: Option[] = [];
  for (const [written, text, kind] of [...options, ...GENERAL]) {
    const last = found.at(-1);
    if (written === "" && last !== undefined) {
      last.text += ` ${text}`;
      continue;
    }
    const { name = "", short, value } = WRITTEN.exec(written)?.groups ?? {};
    const same = found.find((option) => option.name === name);
    // The rows of an option's values: `--ram normal`, `--ram zlib`.
    if (same !== undefined) {
      same.text += `; ${value ?? ""}: ${text}`;
      if (value !== undefined) same.values = [...same.values, value];
      continue;
    }
    const values = kind?.values ?? (value !== undefined && /^[a-z]/u.test(value) ? [value] : []);
    found.push({ name, short, value, many: kind?.many === true, values, text });
  }
  return found;
}

/** The table of a command line: of `fuzz make`, its own. Undefined: there is no such command. */
export function helpOf(
  commands: Readonly<Record<string, CommandHelp>>,
  [name = "", action]: readonly string[],
): CommandHelp | undefined {
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  const actions = command?.actions ?? {};
  return action !== undefined && Object.hasOwn(actions, action) ? actions[action] : command;
}
