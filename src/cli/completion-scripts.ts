/** Completions of shells, made from the table of options. */
import { COMMANDS } from "./help.js";
import { type CommandHelp, type Option, optionsOf } from "./option-table.js";

/** A command line that has options of its own: `convert`, `fuzz make`. */
interface Line {
  name: string;
  help: CommandHelp;
  options: readonly Option[];
}

/** Every command, or its actions where it has some. */
function lines(): Line[] {
  return Object.entries(COMMANDS).flatMap(([name, help]) =>
    help.actions === undefined
      ? [{ name, help, options: optionsOf(help) }]
      : Object.entries(help.actions).map(([action, own]) => ({
          name: `${name} ${action}`,
          help: own,
          options: optionsOf(own),
        })),
  );
}

/** The words that come first: of a command with actions, these. */
function firstWords(name: string): readonly string[] {
  return Object.keys(COMMANDS[name]?.actions ?? {});
}

/** What completes the value of an option: its values, names of files, or nothing that is known. */
function completed({ value = "", values }: Option): readonly string[] | "files" | undefined {
  if (/^(?:FILE|PATH|DIR|NEW|RESULTS|PATTERN|CREDS|PROGRAM)/u.test(value)) return "files";
  return values.length > 0 ? values : undefined;
}

const flags = ({ name, short }: Option): string[] => [`--${name}`, ...(short === undefined ? [] : [`-${short}`])];

const names = Object.keys(COMMANDS);
const withActions = names.filter((name) => firstWords(name).length > 0);
/** Commands whose first argument is a word of a list. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  completions: ["bash", "zsh", "fish"],
  help: names,
  ...Object.fromEntries(withActions.map((name) => [name, firstWords(name)])),
};

/** `qevm completions bash`: to be read by `source <(qevm completions bash)`. */
export function bashScript(): string {
  const values = lines().flatMap(({ name, options }) =>
    options
      .filter(({ value }) => value !== undefined)
      .map((option) => {
        const how = completed(option);
        const reply =
          how === undefined ? "" : how === "files" ? '_qevm_files "$cur"' : `_qevm_words "${how.join(" ")}" "$cur"`;
        const where = flags(option).map((flag) => `"${name}:${flag}"`);
        return `    ${where.join("|")}) ${reply === "" ? ":" : reply}; return ;;`;
      }),
  );
  const options = lines().map(
    ({ name, options: all }) => `      "${name}") words="${all.flatMap(flags).join(" ")} --help" ;;`,
  );
  const first = Object.entries(WORDS).map(
    ([name, words]) => `      ${name}) _qevm_words "${words.join(" ")}" "$cur"; return ;;`,
  );
  return `# bash completions of qevm: source <(qevm completions bash)
_qevm_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2"); }
_qevm_files() { mapfile -t COMPREPLY < <(compgen -f -- "$1"); }
_qevm() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} line=\${COMP_WORDS[1]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    _qevm_words "${names.join(" ")} help --help --version" "$cur"
    return
  fi
  if [ "$COMP_CWORD" -eq 2 ] && [ "\${cur#-}" = "$cur" ]; then
    case "$line" in
${first.join("\n")}
    esac
  fi
  case "$line" in ${withActions.join("|")}) line="$line \${COMP_WORDS[2]}" ;; esac
  case "$line:$prev" in
${values.join("\n")}
  esac
  if [ "\${cur#-}" != "$cur" ]; then
    case "$line" in
${options.join("\n")}
    esac
    _qevm_words "$words" "$cur"
  else
    _qevm_files "$cur"
  fi
}
complete -o filenames -F _qevm qevm
`;
}

/** A text inside quotes. */
function zshQuoted(text: string): string {
  return text.replaceAll("'", String.raw`'\''`);
}

function fishQuoted(text: string): string {
  return `'${text.replaceAll(/['\\]/gu, String.raw`\$&`)}'`;
}

/** A description of zsh, which has its own special characters. */
function described(text: string): string {
  return zshQuoted(text.replaceAll(/[[\]:\\]/gu, String.raw`\$&`));
}

/** An option as an argument of `_arguments`. */
function zshOption(one: Option): string {
  const how = completed(one);
  const action = how === "files" ? "_files" : how === undefined ? "" : `(${how.join(" ")})`;
  const value = one.value === undefined ? "" : `:${described(one.value)}:${action}`;
  const many = one.many ? "*" : "";
  return flags(one)
    .map((flag) => `      '${many}${flag}[${described(one.text)}]${value}'`)
    .join(" \\\n");
}

/** `qevm completions zsh`: a file `_qevm` in a folder of `fpath`. */
export function zshScript(): string {
  const cases = lines().map(
    ({ name, options }) => `    '${name}')
    _arguments -s \\
${options.map(zshOption).join(" \\\n")} \\
      '*:file:_files' ;;`,
  );
  const commands = Object.entries(COMMANDS).map(([name, { line }]) => `    '${name}:${described(line)}'`);
  const first = Object.entries(WORDS).map(([name, words]) => `    ${name}) compadd -- ${words.join(" ")}; return ;;`);
  return `#compdef qevm
# zsh completions of qevm: qevm completions zsh > a folder of fpath/_qevm
_qevm() {
  local -a commands
  commands=(
${commands.join("\n")}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local line=$words[2]
  if (( CURRENT == 3 )) && [[ $words[3] != -* ]]; then
    case $line in
${first.join("\n")}
    esac
  fi
  local skip=1
  case $line in ${withActions.join("|")}) line="$line $words[3]"; skip=2 ;; esac
  shift $skip words
  (( CURRENT -= skip ))
  case $line in
${cases.join("\n")}
  esac
}
_qevm "$@"
`;
}

/** `qevm completions fish`: a file in `~/.config/fish/completions/qevm.fish`. */
export function fishScript(): string {
  const commands = Object.entries(COMMANDS).map(
    ([name, { line }]) => `complete -c qevm -n __fish_use_subcommand -f -a ${name} -d ${fishQuoted(line)}`,
  );
  const first = Object.entries(WORDS).map(([name, words]) => {
    const seen = `__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${words.join(" ")}`;
    return name === "help"
      ? `complete -c qevm -n '__fish_seen_subcommand_from help' -f -a ${fishQuoted(words.join(" "))}`
      : `complete -c qevm -n ${fishQuoted(seen)} -f -a ${fishQuoted(words.join(" "))}`;
  });
  const options = lines().flatMap(({ name, options: all }) =>
    all.map((option) => {
      const how = completed(option);
      const value =
        option.value === undefined
          ? ""
          : how === "files"
            ? " -r -F"
            : how === undefined
              ? " -x"
              : ` -x -a ${fishQuoted(how.join(" "))}`;
      const seen = name
        .split(" ")
        .map((word) => `__fish_seen_subcommand_from ${word}`)
        .join("; and ");
      const short = option.short === undefined ? "" : ` -s ${option.short}`;
      return `complete -c qevm -n ${fishQuoted(seen)} -l ${option.name}${short}${value} -d ${fishQuoted(option.text)}`;
    }),
  );
  return `# fish completions of qevm: qevm completions fish > ~/.config/fish/completions/qevm.fish
${[...commands, "complete -c qevm -n __fish_use_subcommand -f -a help -d 'the help of a command'", ...first, ...options].join("\n")}
`;
}
