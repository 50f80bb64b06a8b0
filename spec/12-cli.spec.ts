import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  createReadStream,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { COMMANDS } from "../src/cli/help.js";
import { helpFor, overview } from "../src/cli/help-text.js";
import { inspectLines as inspected } from "../src/analyse/text/inspect.js";
import { report as verifiedReport } from "../src/cli/verify.js";
import { MemorySource, verifyStream } from "../src/index.js";
import { FileNames } from "../src/guest/files/file-names.js";
import { fileSize, grouped, memorySize } from "../src/bytes/text.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { terminalPicture } from "../tools/terminal.js";
import { flatDocument } from "./support/document.js";
import { PROGRAM, qevm as runProgram } from "./support/program.js";

const folder = mkdtempSync(join(tmpdir(), "qevm-cli-"));
const entry = corpusEntry("compress-live");
const file = join(folder, "vm.mig");
writeFileSync(file, entry.open());
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));

interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

/** Runs the program; `input` goes through a pipe in pieces. */
async function qevm(args: string[], input?: Uint8Array): Promise<Result> {
  const stdin = input === undefined ? {} : { stdin: input };
  const { code, stdout, stderr } = await runProgram(args, { cwd: folder, ...stdin });
  return { status: code, stdout, stderr };
}

const document = (result: Result): Record<string, unknown> => flatDocument(result.stdout) as Record<string, unknown>;

test("an error names the file, and contains no terminal control characters", async (t) => {
  const head = "5145564d0000000307000000047063000001";
  const wrong = join(folder, "wrong.mig");
  writeFileSync(wrong, Buffer.from(`${head}000000020372616d0000000000000005`, "hex"));
  const made = join(folder, "made");
  for (const args of [
    ["convert", "--out", made, wrong],
    ["generate", "--out", made, "--template", wrong],
    ["read", "--block", "ram", wrong],
  ]) {
    const { status, stderr } = await qevm(args);
    t.equal(status, 1, args.join(" "));
    t.ok(stderr.startsWith(`${wrong}: refused at byte 0x`), stderr);
  }
  const piped = await qevm(["convert", "-", "--out", made], readFileSync(wrong));
  t.ok(piped.stderr.startsWith("standard input: refused at byte 0x"), piped.stderr);
  const name = "a\u009b31m\u007f\n";
  const named = Buffer.concat([Buffer.from(`${head}00000002ff`, "hex"), Buffer.from(name, "latin1"), Buffer.alloc(80)]);
  named[22] = name.length;
  writeFileSync(wrong, named);
  for (const args of ["inspect", "inspect --json", "devices", "verify"]) {
    const { stdout, stderr } = await qevm([...args.split(" "), wrong]);
    t.match(stdout + stderr, /009b|x9b/u, `${args}: the name is shown`);
    // oxlint-disable-next-line no-control-regex -- it is what must not come
    t.notOk(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/u.test(stdout + stderr), `${args}: but not raw`);
  }
  t.end();
});

test("existing files under the output's name", async (t) => {
  const plain = corpusEntry("pc-4.2").open();
  const source = join(folder, "plain.mig");
  writeFileSync(source, plain);
  const [input, output] = [join(folder, "in.pipe"), join(folder, "out.pipe")];
  t.equal(spawnSync("mkfifo", [input, output]).status, 0);
  const feed = (): void => void spawn("sh", ["-c", `cat '${source}' > '${input}'`]);
  const drain = async (): Promise<Buffer> => {
    const parts: Buffer[] = [];
    for await (const part of createReadStream(output)) parts.push(part as Buffer);
    return Buffer.concat(parts);
  };
  feed();
  const drained = drain();
  t.equal((await qevm(["convert", input, "--out", output, "--ram", "normal"])).status, 0);
  t.ok(plain.equals(await drained), "a pipe gets the bytes");
  t.ok(lstatSync(output).isFIFO(), "and stays a pipe");
  const memory = drain();
  t.equal((await qevm(["extract", source, "--out", output, "--format", "raw"])).status, 0);
  t.equal((await memory).length, 8 << 20, "memory, too");
  t.ok(lstatSync(output).isFIFO());
  for (const args of [["verify"], ["inspect"], ["unpack", join(folder, "from-pipe")]]) {
    feed();
    const [command = "", ...more] = args;
    t.equal((await qevm([command, input, ...more])).status, 0, `${command} reads a pipe once`);
  }
  const [real, link] = [join(folder, "real.mig"), join(folder, "link.mig")];
  writeFileSync(real, "secret", { mode: 0o600 });
  symlinkSync(real, link);
  t.equal((await qevm(["convert", source, "--out", link])).status, 0);
  t.ok(lstatSync(link).isSymbolicLink() && plain.equals(readFileSync(real)), "through a link");
  t.equal(statSync(real).mode & 0o777, 0o600, "with the permissions that the file had");
  const refused = await qevm(["convert", source, "--out", folder]);
  t.equal(refused.status, 2);
  t.match(refused.stderr, /is a folder/u);
  t.equal((await qevm(["convert", source, "--out", ""])).status, 2, "no name");
  t.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith(".")),
    [],
    "nothing is left behind",
  );
  t.end();
});

test("Ctrl-C and other signals leave nothing of an unfinished output", async (t) => {
  const plain = corpusEntry("pc-4.2").open();
  for (const args of [
    ["convert", "-", "--out", "stopped", "--ram", "zlib"],
    ["extract", "-", "--out", "stopped", "--format", "raw"],
    ["unpack", "-", "stopped"],
  ]) {
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ["pipe", "ignore", "inherit"], cwd: folder });
    child.stdin.write(plain.subarray(0, 500_000));
    const unfinished = (): string[] => readdirSync(folder).filter((name) => name.startsWith("."));
    while (unfinished().length === 0 && child.exitCode === null) await sleep(20);
    await sleep(300);
    child.kill("SIGINT");
    const [code, signal] = (await once(child, "exit")) as [number | null, NodeJS.Signals | null];
    t.deepEqual([code, signal], [null, "SIGINT"], `${args[0] ?? ""} ends by the signal while it waits for a pipe`);
    t.deepEqual(unfinished(), [], "nothing is left");
  }
  t.end();
});

test("a full disk is reported", { skip: existsSync("/dev/full") ? false : "no /dev/full" }, async (t) => {
  const source = join(folder, "vm.mig");
  for (const line of [
    "--help > /dev/full",
    "--version > /dev/full",
    "inspect --help > /dev/full",
    `inspect '${source}' > /dev/full`,
    `convert '${source}' --out - > /dev/full`,
    `extract '${source}' --out /dev/full --format elf`,
  ]) {
    const { status, stderr } = spawnSync("sh", ["-c", `'${process.execPath}' '${PROGRAM}' ${line}`], {
      encoding: "utf8",
    });
    t.equal(status, 2, line);
    t.match(stderr, /^qevm(?: \w+)?: (?:standard output|\/dev\/full): .*ENOSPC/u);
    t.equal(stderr.trimEnd().split("\n").length, 1, "in one line");
  }
  t.end();
});

test("help and usage", async (t) => {
  const help = await qevm(["--help"]);
  t.equal(help.status, 0);
  t.equal(help.stdout, overview());
  t.deepEqual(
    overview()
      .split("\n")
      .filter((line) => line.length > 80),
    [],
    "80 columns",
  );
  for (const name of Object.keys(COMMANDS)) {
    t.equal((await qevm([name, "--help"])).stdout, helpFor(name), `${name} --help`);
    const wide = helpFor(name)
      .split("\n")
      .filter((line) => line.length > 80);
    t.deepEqual(wide, [], `${name}: 80 columns`);
    t.doesNotMatch(helpFor(name).trimEnd(), /,$/u, `${name}: to the end of the sentence`);
  }
  t.equal((await qevm([])).status, 2, "no command");
  t.equal((await qevm(["frobnicate"])).status, 2, "an unknown command");
  for (const args of [["toString"], ["constructor", "--help"], ["help", "__proto__"], ["help", "frobnicate"]]) {
    const { status, stdout, stderr } = await qevm(args);
    t.deepEqual([status, stdout], [2, ""], args.join(" "));
    t.match(stderr, /^qevm: unknown command "/u);
  }
  t.equal((await qevm(["inspect"])).status, 2, "no file");
  t.equal((await qevm(["inspect", file, "--frob"])).status, 2, "an unknown option");
  t.equal((await qevm(["devices", file, "cpu", "third"])).status, 2, "too many arguments");
  t.equal((await qevm(["inspect", file, "--page-size", "1000"])).status, 2, "a page size that is none");
  t.equal((await qevm(["extract", file, "--out", join(folder, "x")])).status, 2, "no format");
  const wrong = await qevm(["inspect", file, "--frob", "--json"]);
  const { error } = document(wrong) as { error?: { code: string } };
  t.deepEqual([wrong.status, error?.code], [2, "usage"], "--json prints a document for wrong use too");
  t.equal((await qevm(["--version"])).stdout, "0.1.0\n");
});

test("a stream truncated in undescribed device state is processed with a warning", async (t) => {
  const { sections } = document(await qevm(["inspect", file, "--json"])) as {
    sections: { type: string; streamOffset: number; sectionLength: number }[];
  };
  const device = sections.filter(({ type }) => type === "full")[3]!;
  const cut = join(folder, "cut.mig");
  writeFileSync(cut, entry.open().subarray(0, device.streamOffset + device.sectionLength - 3));
  const out = (name: string): string => join(folder, `of-cut-${name}`);
  for (const args of [
    ["extract", cut, "--out", out("blocks"), "--format", "blocks"],
    ["extract", cut, "--out", out("raw"), "--format", "raw"],
    ["convert", cut, "--out", out("mig"), "--drop-vmdescription"],
  ]) {
    const { status, stderr } = await qevm(args);
    // Memory is whole; a cut stream is written as one, and no QEMU loads it.
    const code = args[0] === "convert" ? 1 : 0;
    t.deepEqual([status, stderr], [code, "warning: the stream ends before its EOF\n"], args[0]);
  }
  const { status, stdout } = await qevm(["verify", cut]);
  t.match(stdout, /the stream is NOT complete/u);
  t.equal(status, 1, "which is bad news");
  t.match((await qevm(["inspect", cut])).stdout, /NOT\s+complete/u);
});

test("inspect reports the contents, from a file and from a pipe", async (t) => {
  const told = document(await qevm(["inspect", file, "--json"]));
  for (const key of [
    "container",
    "streamVersion",
    "machine",
    "capabilities",
    "pageSize",
    "ram",
    "sections",
    "commands",
  ]) {
    t.ok(key in told, key);
  }
  t.equal(told["machine"], "pc-i440fx-7.2");
  t.equal(told["complete"], true);
  t.equal(told["streamLength"], entry.open().length);
  for (const key of ["opaqueBytes", "namedBytes", "staleBytes", "trailingBytes"]) t.equal(told[key], 0, key);
  const { pages, blocks } = told["ram"] as { pages: Record<string, number>; blocks: { block: string }[] };
  t.ok((pages["compressed"] ?? 0) > 0, "compressed pages");
  t.equal(blocks[0]?.block, "pc.ram");
  const piped = await qevm(["inspect", "-", "--json"], entry.open());
  t.deepEqual(document(piped), { ...told, file: "-" }, "the same from a pipe");
  const text = await qevm(["inspect", file]);
  t.match(text.stdout, /machine pc-i440fx-7\.2, precopy, compress, complete/u);
  t.match(text.stdout, /Understood: every byte/u);
  t.equal(text.stderr, "", "nothing on stderr");
});

test("verify and devices", async (t) => {
  const told = document(await qevm(["verify", file, "--json"]));
  t.equal(told["identical"], true);
  t.equal(told["opaqueBytes"], 0);
  const { pageCount: pages, identicalCount: identical } = told["recompressed"] as Record<string, number>;
  t.ok(pages !== undefined && pages > 0 && pages === identical, `${pages} recompressed`);
  t.equal((await qevm(["verify", "-"], entry.open())).status, 0, "from a pipe");
  const list = await qevm(["devices", file]);
  t.match(list.stdout, /cpu\/0/u);
  const cpu = document(await qevm(["devices", file, "cpu/0", "--json"]));
  const [device] = cpu["devices"] as { section: string; fields: Record<string, unknown> }[];
  t.equal(device?.section, "cpu");
  t.ok(device !== undefined && "env.eip" in device.fields, "env.eip");
  t.equal((await qevm(["devices", file, "nosuch"])).status, 2, "a device that is not there");
});

test("extract writes a folder atomically", async (t) => {
  const out = join(folder, "blocks");
  const told = await qevm(["extract", file, "--out", out, "--format", "blocks"]);
  t.equal(told.status, 0);
  t.match(told.stdout, /pc\.ram/u);
  const manifest = JSON.parse(readFileSync(join(out, "blocks.json"), "utf8")) as { blocks: { file: string }[] };
  t.deepEqual(
    readdirSync(out).toSorted(),
    [...manifest.blocks.map((block) => block.file), "blocks.json"].toSorted(),
    "the manifest names every file",
  );
  const again = await qevm(["extract", file, "--out", out, "--format", "blocks"]);
  t.equal(again.status, 2, "a folder with something in it is refused");
  const cut = join(folder, "cut.mig");
  writeFileSync(cut, entry.open().subarray(0, 150_000));
  const broken = join(folder, "broken");
  const refused = await qevm(["extract", cut, "--out", broken, "--format", "blocks"]);
  t.equal(refused.status, 1, "a cut stream");
  t.match(refused.stderr, /refused at byte 0x249f0, section 2 "ram"/u, "with its address");
  t.notOk(existsSync(broken), "nothing is left");
  const rescued = await qevm([
    "extract",
    cut,
    "--out",
    join(folder, "rescued"),
    "--format",
    "blocks",
    "--lenient",
    "--json",
  ]);
  t.equal(rescued.status, 1, "lenient: what came before the cut");
  t.match(rescued.stderr, /^warning: at byte 0x249f0/u, "with a warning that has the address");
  t.equal(document(rescued)["complete"], false, "and not called complete");
  const counted = await qevm(["inspect", cut, "--lenient"]);
  t.match(counted.stdout, /Not understood: .*\n {2}at byte 0x[0-9a-f]+, .*: truncated final record$/mu, "counted");
  const checked = await qevm(["verify", cut, "--lenient"]);
  t.equal(checked.status, 1);
  t.match(
    checked.stdout,
    /cut\.mig: identical up to byte 0x[0-9a-f]+,\n  nothing after it could be decoded\n(?:.*\n)?not understood: 2\.1 kB\n/u,
  );
  t.deepEqual(
    readdirSync(folder).filter((name) => name.includes("partial")),
    [],
    "no partial folder either",
  );
  mkdirSync(join(folder, "empty"));
  t.equal(
    (await qevm(["extract", file, "--out", join(folder, "empty"), "--format", "blocks"])).status,
    0,
    "an empty folder",
  );
});

test("errors have an offset, as text and JSON, and no stack", async (t) => {
  const bytes = Uint8Array.from(entry.open());
  bytes[0] = 0x7f;
  const bad = await qevm(["inspect", "-"], bytes);
  t.equal(bad.status, 1);
  t.match(bad.stderr, /^standard input: refused at byte 0x0\n {2}not a QEMU migration stream/u);
  t.notOk(/^ +at /mu.test(bad.stderr), "no stack");
  const json = await qevm(["verify", "-", "--json"], bytes);
  t.equal(json.status, 1);
  t.equal((document(json)["error"] as { code: string }).code, "bad-magic");
  t.equal((await qevm(["inspect", join(folder, "missing")])).status, 2, "a file that is not there");
  t.equal((await qevm(["inspect", folder])).status, 1, "a folder");
  t.equal((await qevm(["inspect", "-"], new Uint8Array(0))).status, 1, "an empty pipe");
});

test("names from a stream are file names, never paths", (t) => {
  const names = new FileNames(["blocks.json"]);
  const given = [
    "../../x",
    "pc.ram",
    "PC.RAM",
    "blocks.json",
    "..",
    ".",
    "a/b",
    "a%2Fb",
    "\u0000\u001b[2J",
    "x".repeat(255),
  ];
  const claimed = given.map((name) => names.claim(name));
  t.equal(new Set(claimed.map((name) => name.toLowerCase())).size, given.length, "no two alike");
  for (const name of claimed) t.match(name, /^[A-Za-z0-9_\-@+:%~][A-Za-z0-9._\-@+:%~]*$/u, name);
  t.ok(claimed.every((name) => name.length <= 255));
  t.equal(claimed[1], "pc.ram", "a plain name stays");
  t.end();
});

test("sizes and counts", async (t) => {
  const sizes = [0, 999, 1000, 999_949, 999_960, 1_000_000, 1_000_001, 1_049_999, 1_050_001, 999_999_999_999];
  t.deepEqual(sizes.map(fileSize), [
    "0 bytes",
    "999 bytes",
    "1 kB",
    "999.9 kB",
    "1 MB",
    "1 MB",
    "1 MB",
    "1 MB",
    "1.1 MB",
    "1 TB",
  ]);
  t.deepEqual([1023, 1024, 1536, (1 << 20) - 1, 16 << 20].map(memorySize), [
    "1023 bytes",
    "1 KiB",
    "1.5 KiB",
    "1 MiB",
    "16 MiB",
  ]);
  t.deepEqual([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
  const verification = await verifyStream(new MemorySource(corpusEntry("machine-none-tiny").open()));
  const { inspection } = verification;
  const sections = Array.from({ length: 1234 }, () => inspection.sections[0]!);
  t.match(inspected("vm", { ...inspection, sections }).join("\n"), / 1,234 parts/u, "parts");
  const recompressed = { ...verification.recompressed, pageCount: 12_345, identicalCount: 1234 };
  const verified = verifiedReport("vm", { ...verification, opaqueBytes: 12_051, recompressed }).join("\n");
  t.match(verified, /not understood: 12\.1 kB/u, "bytes");
  t.match(verified, /: 1,234 of 12,345 identical/u, "pages");
});

test("inspect and verify stay within 80 columns", async (t) => {
  for (const name of ["xbzrle-compress", "v11.1-dirty-bitmap", "suppress-vmdesc", "pc-firmware"]) {
    const path = join(corpusEntry(name).folder, "stream.gz");
    writeFileSync(join(folder, "a-rather-long-name-of-a-stream-that-somebody-kept.mig"), corpusEntry(name).open());
    for (const one of [path, "a-rather-long-name-of-a-stream-that-somebody-kept.mig"]) {
      for (const command of ["inspect", "verify"]) {
        const { stdout } = await qevm([command, one]);
        const wide = stdout.split("\n").filter((line) => line.length > 80 && line !== `${path}:`);
        t.deepEqual(wide, [], `${command} ${name}`);
        t.ok(stdout.startsWith(`${one}:`), "begins with the file's name");
      }
    }
  }
  const { stdout } = await qevm(["inspect", join(projectRoot(), "corpus", "postcopy-11.1")]);
  t.deepEqual(
    stdout.split("\n").filter((line) => line.length > 80),
    [],
    "commands and what is not understood, too",
  );
});

test("the picture in the README shows what the program prints", (t) => {
  const picture = readFileSync(join(projectRoot(), "spec", "12-terminal.svg"), "utf8");
  t.equal(picture, terminalPicture(), "node dist/tools/terminal.js writes it again");
  t.end();
});
