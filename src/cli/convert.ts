import { readFileSync } from "node:fs";
import { convertToFile } from "../rewrite/convert/convert-file.js";
import type { ConvertOptions, ConvertReport, PageTally, RamTarget } from "../rewrite/convert/types.js";
import { FORMATS } from "../io/container/libvirt/header.js";
import { libvirtImage, type LibvirtImage } from "../io/container/libvirt/write.js";
import type { Container } from "../io/container/types.js";
import { compareVersions, LAST_COMPRESS } from "../analyse/explain/versions.js";
import { machineRelease } from "../guest/machines/index.js";
import { attempt } from "../io/transport/file.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { toRecording } from "./convert-recording.js";
import { outOf } from "./out.js";
import {
  count,
  delivered,
  fileSize,
  print,
  printWarnings,
  safe,
  table,
  warn,
  tellIncomplete,
  withProgress,
} from "./output.js";

/** `qevm convert FILE --out FILE`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("convert", argv, [1, 1], "one FILE");
  const stdout = !["recording", "libvirt"].includes(args.text("to") ?? "");
  const out = outOf(args, [...args.positionals, args.text("xml")], { stdout });
  if (args.text("to") === "recording") return await toRecording(args, out);
  for (const name of ["multifd", "channels", "qemu"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} goes with --to recording`);
  }
  const json = args.flag("json");
  const wanted = convertOptions(args);
  const input = await openFile(args.positionals[0]!, inputOptions(args));
  // A recorded postcopy migration can be loaded from a file only in one round.
  if (input.containers.some((one) => one.kind === "recording" && one.postcopy) && wanted.to !== "mapped-ram") {
    wanted.flatten = true;
  }
  const image = args.text("to") === "libvirt" ? wrapped(args, input.containers, wanted) : undefined;
  const source = withProgress(input, "converting");
  const how = { ...(await streamOptions(args)), ...wanted };
  const report = await convertToFile(source, out, how, image).finally(() => source.done());
  await source.close?.();
  printWarnings(report.warnings);
  tellIncomplete(report);
  tellUnloadable(report);
  if (json) printResult(report);
  else if (out !== "-") print(lines(out, report));
  const status = delivered(report, args.flag("accept-damage"));
  // A cut stream stays one, which no QEMU loads.
  return report.complete ? status : 1;
}

/**
 * Warns of compressed pages for a machine type that no release with such pages has: only our own load path reads the
 * result.
 */
function tellUnloadable({ machine, pages }: ConvertReport): void {
  const version = machineRelease(machine);
  if (pages.written.compressed === 0 || version === undefined || compareVersions(version, LAST_COMPRESS) <= 0) return;
  warn(
    `no release of QEMU loads this: ${machine} is of QEMU ${version}, and compressed pages were last loaded by ${LAST_COMPRESS}`,
  );
}

function convertOptions(args: Arguments): ConvertOptions {
  const ram = args.text("ram");
  if (ram !== undefined && ram !== "normal" && ram !== "zlib") {
    throw new UsageError(`--ram takes normal or zlib, not ${JSON.stringify(ram)}`);
  }
  const to = args.text("to");
  if (to !== undefined && to !== "stream" && to !== "mapped-ram" && to !== "libvirt") {
    throw new UsageError(`--to takes stream, mapped-ram, recording or libvirt, not ${JSON.stringify(to)}`);
  }
  for (const name of ["xml", "compression"]) {
    if (args.text(name) !== undefined && to !== "libvirt") throw new UsageError(`--${name} goes with --to libvirt`);
  }
  if (to === "mapped-ram" && ram !== undefined) throw new UsageError("--ram does not go with --to mapped-ram");
  const level = args.number("level", { min: 0, max: 9 });
  const exact = args.flag("exact");
  if (ram !== "zlib" && (level !== undefined || exact)) {
    throw new UsageError(`--${exact ? "exact" : "level"} goes with --ram zlib`);
  }
  const engine = args.text("engine") ?? (exact ? "exact" : undefined);
  if (engine !== undefined && engine !== "page" && engine !== "fast" && engine !== "exact") {
    throw new UsageError(`--engine takes page, fast or exact, not ${JSON.stringify(engine)}`);
  }
  if (exact && engine !== "exact") throw new UsageError("--exact is --engine exact");
  if (args.flag("drop-vmdescription") && args.flag("add-vmdescription")) {
    throw new UsageError("--add-vmdescription does not go with --drop-vmdescription");
  }
  const uncertain = args.text("uncertain");
  if (uncertain !== undefined && uncertain !== "bytes" && uncertain !== "layout") {
    throw new UsageError(`--uncertain takes bytes or layout, not ${JSON.stringify(uncertain)}`);
  }
  if (uncertain !== undefined && !args.flag("add-vmdescription")) {
    throw new UsageError("--uncertain goes with --add-vmdescription");
  }
  return {
    ram: (ram ?? "keep") satisfies RamTarget,
    level,
    threads: args.number("threads", { min: 1, max: 64 }),
    engine,
    flatten: args.flag("flatten"),
    machine: args.text("machine"),
    to: to === "libvirt" ? undefined : to,
    dropVmdescription: args.flag("drop-vmdescription"),
    addVmdescription: args.flag("add-vmdescription"),
    uncertainDevices: uncertain,
  };
}

/** The save image to write: the one that was read, or a new one around a bare stream. */
function wrapped(args: Arguments, containers: readonly Container[], wanted: ConvertOptions): LibvirtImage {
  const format = args.text("compression");
  if (format !== undefined && !FORMATS.includes(format)) {
    throw new UsageError(`--compression takes ${FORMATS.join(", ")}, not ${JSON.stringify(format)}`);
  }
  const file = args.text("xml");
  const xml = file === undefined ? undefined : attempt(file, () => readFileSync(file, "utf8"));
  const kept = containers.find((container) => container.kind === "libvirt");
  if (kept === undefined && xml === undefined) {
    throw new UsageError("the input is not a libvirt save image: --xml FILE gives the domain XML of a new one");
  }
  const image = libvirtImage(kept, { xml, format, machine: args.text("machine") });
  // A sparse image stores pages at fixed offsets; all other formats hold a plain stream.
  if (image.format === "sparse") wanted.to = "mapped-ram";
  else if (kept?.format === "sparse") wanted.to = "stream";
  if (image.format === "sparse" && wanted.ram !== "keep") throw new UsageError("--ram does not go with a sparse image");
  return image;
}

function lines(out: string, { machine, streamLength: bytes, pages }: ConvertReport): string[] {
  return [
    `${safe(out)}: ${machine === null ? "no configuration section" : `machine ${safe(machine)}`}`,
    ...table([
      ["pages", "normal", "zero", "compressed", "xbzrle", "stream"],
      row("read", pages.read, bytes.read),
      row("written", pages.written, bytes.written),
    ]),
  ];
}

function row(name: string, tally: PageTally, size: number): string[] {
  return [name, count(tally.normal), count(tally.zero), count(tally.compressed), count(tally.xbzrle), fileSize(size)];
}
