import { closeSync, existsSync, openSync } from "node:fs";
import { QevmError } from "../bytes/errors.js";
import { fileFill, namedFill, type Fill } from "../rewrite/generate/fill.js";
import { generateNone, type PageEncoding } from "../rewrite/generate/none.js";
import { generateFromTemplate } from "../rewrite/generate/template.js";
import { attempt, readAll } from "../io/transport/attempt.js";
import { openOutput, type Output } from "../io/transport/output.js";
import {
  deviceValues,
  limitsOf,
  nameAndValue,
  parse,
  sizeOf,
  streamOffset,
  UsageError,
  type Arguments,
} from "./arguments.js";
import { openFile, printResult } from "./document.js";
import { outOf } from "./out.js";
import { fileSize, print, safe, withProgress } from "./output.js";

/** `qevm generate --machine none --out FILE` and `qevm generate --template FILE --out FILE`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("generate", argv, [0, 0], "options only");
  const images = args.list("ram").map((text) => nameAndValue(text, "--ram takes BLOCK=FILE"));
  const inputs = [args.text("template"), args.text("fill"), ...images.map(([, path]) => path)];
  const out = outOf(args, inputs, { stdout: true });
  const template = args.text("template");
  const file = openOutput(out);
  try {
    const made =
      template === undefined ? await fromNothing(args, file) : await fromTemplate(args, template, images, file);
    file.commit();
    if (args.flag("json")) printResult({ out, streamLength: made.bytes });
    else if (out !== "-") print([`${safe(out)}: ${fileSize(made.bytes)}`]);
    return 0;
  } finally {
    file.abort();
  }
}

async function fromNothing(args: Arguments, file: Output): Promise<{ bytes: number }> {
  const machine = args.text("machine");
  if (machine === undefined) throw new UsageError("--machine none or --template FILE is missing");
  if (machine !== "none") throw new UsageError("--machine takes none; other machines need a --template capture");
  if (args.list("ram").length + args.list("set").length > 0) throw new UsageError("--ram and --set go with --template");
  for (const name of ["snapshot", "stream-offset"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} goes with --template`);
  }
  const pages = args.text("pages") ?? "normal";
  if (pages !== "normal" && pages !== "zlib" && pages !== "xbzrle") {
    throw new UsageError("--pages takes normal, zlib or xbzrle");
  }
  if (pages !== "zlib" && args.text("level") !== undefined) throw new UsageError("--level goes with --pages zlib");
  const { fill, close } = chosenFill(args);
  try {
    return await generateNone(file, {
      memory: size(args.text("memory") ?? "8M"),
      fill,
      pages: pages satisfies PageEncoding,
      level: args.number("level", { min: 0, max: 9 }) ?? 1,
      qemu: version(args.text("qemu") ?? "7.2"),
    });
  } finally {
    close();
  }
}

async function fromTemplate(
  args: Arguments,
  template: string,
  given: readonly (readonly [block: string, path: string])[],
  file: Output,
): Promise<{ bytes: number }> {
  for (const name of ["machine", "memory", "fill", "pages", "qemu"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} does not go with --template`);
  }
  const limits = limitsOf(args);
  const input = await openFile(template, {
    snapshot: args.text("snapshot"),
    offset: streamOffset(args),
    stream: { limits },
  });
  const source = withProgress(input, "generating");
  const open: number[] = [];
  const images = new Map<string, (offset: number, into: Uint8Array) => number>();
  try {
    for (const [block, path] of given) {
      const fd = attempt(path, () => openSync(path, "r"));
      open.push(fd);
      images.set(block, (offset, into) => readAll(path, fd, into, offset));
    }
    return await generateFromTemplate(source, file, { images, values: deviceValues(args), limits });
  } finally {
    for (const fd of open) closeSync(fd);
    source.done();
    await source.close?.();
  }
}

/** Used where nothing needs closing. */
function nothing(): void {
  // Named fills have no file.
}

function chosenFill(args: Arguments): { fill: Fill; close: () => void } {
  const name = args.text("fill") ?? "zero";
  const seed = args.number("seed", { min: 0, max: 0xffffffff }) ?? 1;
  if (name === "zero" || name === "text" || name === "random") return { fill: namedFill(name, seed), close: nothing };
  if (!existsSync(name)) throw new UsageError(`--fill takes zero, text, random or a file, not ${JSON.stringify(name)}`);
  const fd = attempt(name, () => openSync(name, "r"));
  return { fill: fileFill((offset, into) => readAll(name, fd, into, offset)), close: () => closeSync(fd) };
}

/** `8M`, `4G`, `4096`. */
function size(text: string): number {
  const bytes = sizeOf(text);
  if (bytes === undefined) throw new UsageError(`--memory takes a size like 8M or 4G, not ${JSON.stringify(text)}`);
  if (bytes % 4096 !== 0) throw new UsageError("--memory takes a multiple of 4096 bytes");
  return bytes;
}

function version(text: string): [number, number] {
  const [, major, minor] = /^(\d+)\.(\d+)(?:\.\d+)?$/u.exec(text) ?? [];
  if (major === undefined || minor === undefined) {
    throw new UsageError(`--qemu takes a version like 7.2, not ${JSON.stringify(text)}`);
  }
  if (Number(major) < 4) throw new QevmError("usage", "--qemu: streams of QEMU 4.0 and later can be made");
  return [Number(major), Number(minor)];
}
