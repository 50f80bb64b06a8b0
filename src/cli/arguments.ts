import { COMMANDS } from "./help.js";
import { didYouMean } from "../bytes/nearest.js";
import { helpOf, type Option, optionsOf } from "./option-table.js";
import { voice } from "../analyse/text/voice.js";
import { aboutFiles } from "./document.js";
import { speak } from "./voice.js";
import { DEFAULT_LIMITS, type StreamLimits } from "../codec/stream/limits.js";
import { parseArgs, type ParseArgsConfig } from "node:util";
import { openInput } from "../io/container/input.js";
import type { Input, InputOptions } from "../io/container/types.js";
import { QevmError } from "../bytes/errors.js";
import { descriptionOf, type CatalogueOption } from "../codec/stream/index.js";
import type { VmDescription } from "../codec/vmstate/index.js";

/** Wrong use of the command line: exit status 2. */
export class UsageError extends Error {}

/** An option on the command line. */
interface OptionToken {
  name: string;
  rawName: string;
  value?: string | undefined;
  inlineValue?: boolean | undefined;
}

/** The parsed command line; the number of positional arguments has been checked. */
export interface Arguments {
  positionals: string[];
  flag(name: string): boolean;
  text(name: string): string | undefined;
  /** All values of a repeatable option. */
  list(name: string): string[];
  /** An integer in a range, or undefined. */
  number(name: string, range: { min: number; max: number }): number | undefined;
  /** A size in bytes: like `number`, optionally with a unit (8M). */
  size(name: string, range: { min: number; max: number }): number | undefined;
  /** An address of 64 bits, or undefined. */
  address(name: string): bigint | undefined;
}

/**
 * The file that an error message refers to: the FILE of the last parsed command line, its template, or an unreadable
 * schema.
 */
export let subject = "-";

/**
 * Parses a command line by the table of options (`help.ts`).
 * @param command its name, and that of its action: `fuzz make`
 * @param positionals minimum and maximum number of positional arguments
 * @param names what they are, for the error where the number is wrong
 */
export function parse(command: string, args: string[], positionals: [number, number], names: string): Arguments {
  const help = helpOf(COMMANDS, command.split(" "));
  if (help === undefined) throw new Error(`no command ${command}`);
  const known = new Map(optionsOf(help).map((option) => [option.name, option]));
  const parsed = parseArgs({
    args,
    options: parserOptions(known),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  for (const token of parsed.tokens) if (token.kind === "option") check(token, known, help.refused ?? {});
  const [least, most] = positionals;
  if (parsed.positionals.length < least) throw new UsageError(`expected ${names}`);
  if (parsed.positionals.length > most) {
    throw new UsageError(`expected ${names}: unexpected argument ${JSON.stringify(parsed.positionals[most])}`);
  }
  const values = parsed.values as Record<string, string | boolean | string[] | undefined>;
  const { color = "auto" } = values;
  if (!["auto", "always", "never"].includes(String(color))) {
    throw new UsageError(`--color takes auto, always or never, not ${JSON.stringify(color)}`);
  }
  if (values["accept-damage"] === true && values["lenient"] !== true) {
    throw new UsageError("--accept-damage goes with --lenient");
  }
  speak(values);
  const { template } = values;
  const named = typeof template === "string" ? template : undefined;
  subject = parsed.positionals[0] ?? named ?? "-";
  aboutFiles(command, parsed.positionals, named);
  if (parsed.positionals.includes("-") && process.stdin.isTTY && !voice.quiet) {
    process.stderr.write("reading standard input, which is a terminal (end it with Ctrl-D)\n");
  }
  return {
    positionals: parsed.positionals,
    flag: (name) => values[name] === true,
    text: (name) => {
      const value = values[name];
      return typeof value === "string" ? value : undefined;
    },
    list: (name) => {
      const value = values[name];
      return Array.isArray(value) ? value : [];
    },
    number: (name, range) => numberOf(name, values[name], range, wholeOf),
    size: (name, range) => numberOf(name, values[name], range, wholeOrSize),
    address: (name) => addressOf(name, values[name]),
  };
}

function numberOf(
  name: string,
  value: unknown,
  { min, max }: { min: number; max: number },
  read: (text: string) => number | undefined,
): number | undefined {
  if (typeof value !== "string") return undefined;
  const number = read(value) ?? Number.NaN;
  if (!Number.isSafeInteger(number) || number < min || number > max) {
    throw new UsageError(`--${name} takes a whole number from ${min} to ${max}, not ${JSON.stringify(value)}`);
  }
  return number;
}

function addressOf(name: string, value: unknown): bigint | undefined {
  if (typeof value !== "string") return undefined;
  const address = /^(0x[0-9a-f]+|[0-9]+)$/iu.test(value) && value.length <= 20 ? BigInt(value) : -1n;
  if (address >= 0n && address < 1n << 64n) return address;
  throw new UsageError(`--${name} takes an address of 64 bits, not ${JSON.stringify(value)}`);
}

function wholeOrSize(text: string): number | undefined {
  return wholeOf(text) ?? sizeOf(text);
}

/** The size that an option states, as `Arguments.size`. Errors: usage. */
export function wholeSize(name: string, text: string): number | undefined {
  return numberOf(name, text, { min: 0, max: Number.MAX_SAFE_INTEGER }, wholeOrSize);
}

function wholeOf(text: string): number | undefined {
  return /^(0x[0-9a-f]+|[0-9]+)$/iu.test(text) ? Number(text) : undefined;
}

/** The options as Node's `parseArgs` takes them. */
function parserOptions(known: ReadonlyMap<string, Option>): NonNullable<ParseArgsConfig["options"]> {
  return Object.fromEntries(
    [...known.values()].map(({ name, short, value, many }) => [
      name,
      { type: value === undefined ? "boolean" : "string", multiple: many, ...(short === undefined ? {} : { short }) },
    ]),
  );
}

/** Checks what strict `parseArgs` would refuse, with our own messages. */
function check(
  token: OptionToken,
  known: ReadonlyMap<string, Option>,
  refused: Readonly<Record<string, string>>,
): void {
  const { name, rawName, value, inlineValue } = token;
  const option = rawName === `--${name}` || rawName === `-${known.get(name)?.short}` ? known.get(name) : undefined;
  if (option === undefined) {
    if (Object.hasOwn(refused, name)) throw new UsageError(refused[name]);
    const near = didYouMean(
      rawName,
      [...known.keys()].map((one) => `--${one}`),
    );
    throw new UsageError(
      `unknown option ${rawName}${near === "" ? " (file names that begin with - go after --)" : near}`,
    );
  }
  if (option.value === undefined) {
    if (value !== undefined) throw new UsageError(`${rawName} takes no value`);
  } else if (value === undefined) {
    throw new UsageError(`${rawName} takes a value`);
  } else if (inlineValue === false && /^-./u.test(value)) {
    throw new UsageError(`${rawName} takes a value; one that begins so is written --${name}=${value}`);
  }
}

/**
 * The `StreamReader` options of the command line. Reads the schema. Without one, device state that the stream does not
 * describe is read by the catalogue, unless `--schema none` is given.
 */
export async function streamOptions(args: Arguments): Promise<DecodeOptions> {
  const schema: VmDescription[] = [];
  const files = args.list("schema");
  if (files.length === 1 && files[0] === "none") return readOptions(args);
  for (const file of files) schema.push(await readSchema(file));
  return { ...readOptions(args), ...(schema.length === 0 ? { catalogue: shipped } : { schema }) };
}

/** Code and data of the catalogue are loaded when a stream needs them. */
const shipped: CatalogueOption = async () => await (await import("../io/catalogue/load.js")).loadCatalogue();

/** The options of commands that decode device state. */
type DecodeOptions = ReadOptions & { schema?: VmDescription[]; catalogue?: CatalogueOption };

/** Parses `8M`, `4G`, `4096` to bytes; undefined for anything else. */
export function sizeOf(text: string): number | undefined {
  const [, digits, unit = ""] = /^(\d{1,15})([KMGT]?)(?:i?B)?$/iu.exec(text) ?? [];
  const bytes = Number(digits) * 1024 ** " KMGT".indexOf(unit === "" ? " " : unit.toUpperCase());
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** Splits `NAME=VALUE`. Errors: usage. */
export function nameAndValue(text: string, usage: string): [name: string, value: string] {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`${usage}, not ${JSON.stringify(text)}`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** Parses `--set cpu/0:env.eip=0xfff0`, repeatable. Errors: usage. */
export function deviceValues(args: Arguments): [name: string, value: string][] {
  const values = args.list("set").map((text) => nameAndValue(text, "--set takes DEVICE:FIELD=VALUE"));
  for (const [name, value] of values) {
    if (!/.:./u.test(name)) {
      throw new UsageError(`--set takes DEVICE:FIELD=VALUE, not ${JSON.stringify(`${name}=${value}`)}`);
    }
  }
  return values;
}

/** Parses `--limit deviceBytes=1G`, repeatable. */
export function limitsOf(args: Arguments): Partial<StreamLimits> {
  const limits: Partial<StreamLimits> = {};
  for (const text of args.list("limit")) {
    const [name = "", value = ""] = text.split("=", 2);
    const size = sizeOf(value);
    if (!Object.hasOwn(DEFAULT_LIMITS, name) || size === undefined) {
      const names = Object.keys(DEFAULT_LIMITS).join(", ");
      throw new UsageError(`--limit takes NAME=N, not ${JSON.stringify(text)}; the names are ${names}`);
    }
    limits[name as keyof StreamLimits] = size;
  }
  return limits;
}

/** The options that need no file. */
interface ReadOptions {
  lenient: boolean;
  pageSize?: number;
  limits: Partial<StreamLimits>;
}

function readOptions(args: Arguments): ReadOptions {
  const pageSize = args.number("page-size", { min: 256, max: 65536 });
  if (pageSize !== undefined && !Number.isInteger(Math.log2(pageSize))) {
    throw new UsageError("--page-size takes a power of two");
  }
  return { lenient: args.flag("lenient"), limits: limitsOf(args), ...(pageSize === undefined ? {} : { pageSize }) };
}

async function readSchema(file: string): Promise<VmDescription> {
  if (file === "-") throw new UsageError("--schema takes a file");
  let source: Input | undefined;
  try {
    source = await openInput(file);
    return await descriptionOf(source);
  } catch (error) {
    if (!(error instanceof QevmError) || error.code === "io") throw error;
    subject = file;
    const { code, what, offset, path, expected, found } = error;
    throw new QevmError(code, what, { offset, path: [`--schema ${file}`, ...path], expected, found, cause: error });
  } finally {
    await source?.close?.();
  }
}

/** The `openInput` options of the command line. */
export function inputOptions(args: Arguments): InputOptions & { stream: ReadOptions } {
  const stream = readOptions(args);
  return { snapshot: args.text("snapshot"), offset: streamOffset(args), unfinished: stream.lenient, stream };
}

/** Refuses `--stream-offset` for folders. Errors: usage. */
export function refuseOffset(args: Arguments): void {
  if (streamOffset(args) !== undefined) throw new UsageError("--stream-offset is for files, not for recordings");
}

/** Parses `--stream-offset 2M`: the start of the stream in the file. */
export function streamOffset(args: Arguments): number | undefined {
  return args.size("stream-offset", { min: 0, max: Number.MAX_SAFE_INTEGER });
}
