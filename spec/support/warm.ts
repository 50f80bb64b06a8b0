/**
 * A process that runs commands of the program one after the other: the files that `dist/bin/qevm.cjs` loads, with the
 * same arguments, folder and environment. A start of Node costs more than most commands, and a command that has run
 * before is compiled. Started by `program.ts`.
 */
import { createRequire } from "node:module";
import { Writable } from "node:stream";
import { fileURLToPath } from "node:url";

export interface Job {
  /** The command as modules, not bundled. */
  modules: boolean;
  args: readonly string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** How a command ended; `undefined` instead of a code where it threw: the program itself has to say it. */
export interface Done {
  code: number | undefined;
  stdout: Uint8Array;
  stderr: Uint8Array;
}

interface CommandFile {
  start(args: readonly string[]): Promise<number>;
}

const load = createRequire(import.meta.url);
const bin = fileURLToPath(new URL("../../bin/", import.meta.url));

class Kept extends Writable {
  private readonly pieces: Uint8Array[] = [];

  override _write(piece: Uint8Array, _: BufferEncoding, done: () => void): void {
    this.pieces.push(piece);
    done();
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.pieces);
  }
}

async function started(name: string, args: string[], modules: boolean): Promise<number> {
  if (!modules) return await (load(`${bin}${name}.cjs`) as CommandFile).start(args);
  const { start } = await import("../../src/cli/start.js");
  return await start(name, args);
}

async function perform({ modules, args, cwd, env }: Job): Promise<Done> {
  const kept = { stdout: new Kept(), stderr: new Kept() };
  for (const [name, value] of Object.entries(kept)) Object.defineProperty(process, name, { value, configurable: true });
  for (const name of Object.keys(process.env)) if (env[name] === undefined) Reflect.deleteProperty(process.env, name);
  Object.assign(process.env, env);
  process.chdir(cwd);
  process.argv = [process.execPath, `${bin}qevm.cjs`, ...args];
  const [name = "", ...rest] = args;
  let code: number | undefined;
  try {
    code = await started(name, rest, modules);
  } catch {
    code = undefined;
  }
  return { code, stdout: kept.stdout.bytes, stderr: kept.stderr.bytes };
}

// Each command's file has its own copy of what it does at the end of a process.
process.setMaxListeners(0);
process.on("message", (job: Job) => {
  void perform(job).then((done) => process.send!(done));
});
process.on("disconnect", () => process.exit(0));
