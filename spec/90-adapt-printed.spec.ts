/** The advice of `explain` and `adapt`, run as printed: a person copies both lines, and the guest is there. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { compare, destinationLike, startDestination } from "../tools/destination/index.js";
import { qemuOf } from "./support/loads.js";
import { PROGRAM } from "./support/program.js";

const work = mkdtempSync(join(tmpdir(), "qevm-spec-90-printed-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** Runs a line in a shell that knows `qevm`, in the folder of the file. */
function shell(line: string): { status: number | null; text: string } {
  writeFileSync(join(work, "qevm"), `#!/bin/sh\nexec ${process.execPath} ${PROGRAM} "$@"\n`, { mode: 0o755 });
  const run = spawnSync("/bin/sh", ["-c", line], {
    cwd: work,
    env: { ...env, PATH: `${work}:${env["PATH"]}` },
    encoding: "utf8",
    timeout: 120_000,
  });
  return { status: run.status, text: run.stdout + run.stderr };
}

/** The words of a command, as a shell takes them. */
function wordsOf(command: string): string[] {
  return shell(`set -- ${command}\nprintf '%s\\n' "$@"`).text.split("\n").slice(0, -1);
}

test("explain's adapt, and the destination that adapt prints", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  if (qemu.root !== undefined) {
    t.skip("QEMU 7.2 is in a chroot: qevm adapt cannot start it");
    return;
  }
  const entry = corpusEntry("pc-2.4");
  const like = destinationLike(entry);
  writeFileSync(join(work, "old.mig"), entry.open());
  const [firmware] = Object.values(like.files ?? {});
  writeFileSync(join(work, "BIOS"), firmware ?? "");
  // What a QEMU without that machine type says.
  const advice = shell(`qevm explain old.mig 'unsupported machine type: "pc-i440fx-2.4"'`).text;
  const proposed = /-> adapt it[^]*?\n +(qevm adapt (?:.*\\\n)*.*)\n/u.exec(advice)?.[1];
  t.ok(proposed, "explain proposes it");
  if (proposed === undefined) return;
  t.equal(proposed.includes("-machine pc "), true, "to the newest type");
  const made = shell(proposed);
  t.equal(made.status, 0, made.text.slice(-500));
  const destination = made.text.slice(made.text.indexOf("The destination:\n") + "The destination:\n".length);
  const words = wordsOf(destination);
  t.deepEqual([words[0], ...words.slice(-2)], ["qemu-system-x86_64", "-incoming", "defer"], "a command");
  const args = words.slice(1, -2).map((word) => (word === "BIOS" ? join(work, word) : word));
  const { vm, result } = await startDestination({ qemu, args, stream: readFileSync(join(work, "NEW")) });
  try {
    t.ok(result.loaded, `loaded ${result.error}`);
    if (!result.loaded) return;
    const found = await compare(vm, entry.truth);
    t.ok(found.equalBlocks.includes("pc.ram"), "its memory");
    t.equal(found.registersEqual, true, "its registers");
  } finally {
    await vm.close();
  }
});
