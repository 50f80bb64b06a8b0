import { parse, UsageError } from "./arguments.js";
import { bashScript, fishScript, zshScript } from "./completion-scripts.js";
import { didYouMean } from "../bytes/nearest.js";

const SCRIPTS: Readonly<Record<string, () => string>> = { bash: bashScript, zsh: zshScript, fish: fishScript };

/** `qevm completions bash|zsh|fish`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("completions", argv, [1, 1], "bash, zsh or fish");
  const [shell = ""] = args.positionals;
  if (!Object.hasOwn(SCRIPTS, shell)) {
    const near = didYouMean(shell, Object.keys(SCRIPTS));
    throw new UsageError(`expected bash, zsh or fish, not ${JSON.stringify(shell)}${near}`);
  }
  process.stdout.write(SCRIPTS[shell]!());
  return await Promise.resolve(0);
}
