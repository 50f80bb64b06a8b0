/** Runs a command of the program in this process: a program start costs more than most commands. */
import { run, type Command } from "../../src/cli/run.js";
import { checkDocuments } from "./schemas.js";

export interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Writes to a stream of the process go into a text for as long as `work` runs. */
async function caught(
  streams: readonly NodeJS.WriteStream[],
  work: () => Promise<number>,
): Promise<[number, string[]]> {
  const texts = streams.map(() => [] as Buffer[]);
  const own = streams.map((stream, i) => {
    const write = stream.write.bind(stream);
    // A sink on a standard stream listens to it as long as the process runs.
    stream.setMaxListeners(0);
    stream.write = (chunk: Uint8Array | string, ...rest: unknown[]): boolean => {
      texts[i]!.push(Buffer.from(chunk as string));
      const done = rest.at(-1);
      if (typeof done === "function") queueMicrotask(() => (done as () => void)());
      return true;
    };
    return write;
  });
  try {
    return [await work(), texts.map((pieces) => Buffer.concat(pieces).toString("utf8"))];
  } finally {
    streams.forEach((stream, i) => (stream.write = own[i]!));
  }
}

/** `qevm NAME ARGS...`, without a process of its own. */
export async function inProcess(name: string, args: readonly string[]): Promise<Outcome> {
  const load = async (): Promise<Command> => (await import(`../../src/cli/${name}.js`)) as Command;
  const [code, [stdout = "", stderr = ""]] = await caught([process.stdout, process.stderr], () =>
    run(name, [...args], load),
  );
  checkDocuments([name, ...args], stdout);
  return { code, stdout, stderr };
}

/** Whether standard output, input and errors are a terminal for as long as `work` runs. */
export async function asTerminal<T>(terminal: boolean, work: () => Promise<T>): Promise<T> {
  const streams = [process.stdin, process.stdout, process.stderr];
  const before = streams.map((stream) => Object.getOwnPropertyDescriptor(stream, "isTTY"));
  for (const stream of streams) Object.defineProperty(stream, "isTTY", { value: terminal, configurable: true });
  try {
    return await work();
  } finally {
    streams.forEach((stream, i) => {
      const own = before[i];
      if (own === undefined) Reflect.deleteProperty(stream, "isTTY");
      else Object.defineProperty(stream, "isTTY", own);
    });
  }
}
