import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { PLAIN_PROGRAM, plainEnvironment, qevm } from "./support/program.js";
import { makePlainStream } from "../tools/streams/plain.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readme = readFileSync(`${root}README.md`, "utf8");

test("the README's library example compiles strictly and runs", (t) => {
  const [, example] = /```ts\n([\s\S]*?)```/u.exec(readme) ?? [];
  if (example === undefined) {
    t.fail("README has no example");
    t.end();
    return;
  }
  // Inside the package, so that "qevm" resolves as in a user's project.
  mkdirSync(`${root}dist`, { recursive: true });
  const folder = mkdtempSync(join(root, "dist", "readme-"));
  try {
    writeFileSync(join(folder, "example.mts"), example);
    const chunks: Uint8Array[] = [];
    const sent = makePlainStream({ ram: 1 << 20, zero: 0.5, run: 7 }, (chunk) => chunks.push(chunk.slice()));
    writeFileSync(join(folder, "vm.mig"), Buffer.concat(chunks));
    const options = ["--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--module", "NodeNext"];
    const target = ["--target", "ES2022", "--types", "node", "--ignoreConfig", "example.mts"];
    const tsc = spawnSync(process.execPath, [`${root}node_modules/typescript/bin/tsc`, ...options, ...target], {
      cwd: folder,
      encoding: "utf8",
    });
    t.equal(tsc.stdout, "", "no complaint from the compiler");
    const run = spawnSync(process.execPath, ["example.mjs"], {
      cwd: folder,
      encoding: "utf8",
      env: plainEnvironment(),
    });
    t.equal(run.stderr, "");
    t.equal(run.stdout, `none ${sent.zero}\n`, "it prints what was sent");
  } finally {
    rmSync(folder, { recursive: true });
  }
  t.end();
});

/** What needs a live QEMU or a peer: chapters 33 to 35 run these. */
const WITH_A_PEER = /^qevm (?:receive|relay|send) /u;

test("every block of commands runs as it is printed, in a fresh folder", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-readme-"));
  try {
    mkdirSync(join(folder, "bin"));
    const program = join(folder, "bin", "qevm");
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${PLAIN_PROGRAM}' "$@"\n`, { mode: 0o755 });
    writeFileSync(join(folder, "vm.mig"), corpusEntry("pc-firmware").open());
    const recorded = join(root, "corpus", "recording-7.2-zlib");
    mkdirSync(join(folder, "rec"));
    for (const name of readdirSync(recorded).filter((one) => one.endsWith(".bin.gz")))
      writeFileSync(join(folder, "rec", name.replace(".gz", "")), gunzipSync(readFileSync(join(recorded, name))));
    const env = { ...plainEnvironment(), PATH: `${join(folder, "bin")}:${process.env["PATH"]}` };
    const shell = (line: string): string => {
      const { status, stdout, stderr } = spawnSync("sh", ["-c", line], { cwd: folder, env, encoding: "utf8" });
      t.equal(status, 0, `${line} ${stderr}`);
      return stdout;
    };
    const blocks = [...readme.matchAll(/^```(sh)?\n([^]*?)^```$/gmu)];
    const printed = blocks
      .filter(([, language]) => language === "sh")
      .flatMap(([, , text = ""]) => text.trimEnd().split("\n"));
    t.ok(printed.length >= 8, `${printed.length} lines`);
    for (const line of printed) shell(line);
    const live = blocks.flatMap(([, , text = ""]) =>
      [...text.matchAll(/^\$ (qevm [^#\n]*?) *(?:#.*)?$/gmu)].map(([, line = ""]) => line),
    );
    t.ok(live.length >= 6, `${live.length} lines with a prompt`);
    for (const line of live.filter((one) => !WITH_A_PEER.test(one))) shell(line);
    shell("qevm generate --machine none -o none.mig");
  } finally {
    rmSync(folder, { recursive: true });
  }
  t.end();
});

test("the README lists the commands that exist, and no others", async (t) => {
  const { stdout, code } = await qevm(["--help"]);
  t.equal(code, 0);
  const real = [...stdout.matchAll(/^ {2}(\w+) {2,}\S/gmu)].map(([, name]) => name);
  const listed = [...readme.matchAll(/^\| `qevm (\w+)/gmu)].map(([, name]) => name);
  t.ok(real.length >= 4, `${real.length} commands`);
  t.deepEqual(listed, real);
  for (const name of listed) {
    const help = await qevm([name ?? "", "--help"]);
    t.equal(help.code, 0, `qevm ${name} --help`);
    t.ok(help.stdout.startsWith(`usage: qevm ${name}`));
  }
});

test("the index of the specification has every chapter, by its number and title", (t) => {
  const index = readFileSync(`${root}spec/README.md`, "utf8");
  const listed = [...index.matchAll(/^\| (\[.+\]\(.+\.md\)) \| .+ \|$/gmu)].map(([, link]) => link);
  const chapters = readdirSync(`${root}spec`)
    .filter((file) => /^\d.*\.md$/u.test(file))
    .toSorted();
  const links = chapters.map((file) => {
    const [title = ""] = readFileSync(`${root}spec/${file}`, "utf8").split("\n", 1);
    t.ok(title.startsWith(`# ${Number(file.slice(0, 2))}. `), `${file} has its number: ${title}`);
    return `[${title.slice(2)}](${file})`;
  });
  t.deepEqual(listed, links);
  t.end();
});

test("every file that the README links to exists", (t) => {
  const tracked = spawnSync("git", ["ls-files"], { cwd: root, encoding: "utf8" }).stdout;
  for (const [, path] of readme.matchAll(/\]\((?!https?:)([^)#]+)\)/gu)) {
    t.ok(tracked === "" || tracked.includes(path ?? ""), path);
  }
  t.end();
});
