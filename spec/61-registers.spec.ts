/** `qevm devices FILE cpu`: registers by their names, against what QEMU's `info registers` printed. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { longModeGuest } from "../tools/guest/long-mode.js";
import { corpusEntry } from "../tools/corpus.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { shownRegisters } from "./support/info-registers.js";
import { qevm } from "./support/program.js";
import { inLongMode, testEach } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { flatDocument } from "./support/document.js";

/** The registers that `qevm devices` printed, each CPU by itself. */
function printed(text: string): Map<string, bigint>[] {
  return text
    .split(/^cpu\/\d+ /mu)
    .slice(1)
    .map((cpu) => {
      const found = new Map<string, bigint>();
      const put = (name: string, digits: string): void => void found.set(name.toLowerCase(), BigInt(`0x${digits}`));
      for (const line of cpu.split("\n").filter((one) => !one.startsWith("  fields."))) {
        const segment =
          /^ {2}(\w+) +([0-9a-f]{4})?  +base ([0-9a-f]{16})  limit ([0-9a-f]{8})(?:  attributes ([0-9a-f]{8}))?$/u.exec(
            line,
          );
        if (segment === null) {
          for (const [, name, digits] of line.matchAll(/(\w+) +([0-9a-f]{16})\b/gu)) put(name!, digits!);
          continue;
        }
        const [, name, selector, base, limit, attributes] = segment;
        if (selector !== undefined) put(name!, selector);
        put(`${name} base`, base!);
        put(`${name} limit`, limit!);
        if (attributes !== undefined) put(`${name} flags`, attributes);
      }
      return found;
    });
}

function different(shown: Map<string, bigint>, found: Map<string, bigint> | undefined): [string, bigint][] {
  return [...shown].filter(([name, value]) => found?.get(name) !== value);
}

test("what is printed is what info registers printed", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-registers-"));
  for (const name of ["live-q35", "q35-firmware", "microvm-firmware", "v5.2-live", "v11.1-q35-devices"]) {
    const { truth, open } = corpusEntry(name);
    const file = join(work, name);
    writeFileSync(file, open());
    const run = await qevm(["devices", file, "cpu"]);
    t.equal(run.code, 0, run.stderr);
    const shown = shownRegisters(truth.registers);
    t.ok(shown.size >= 54, `${name}: ${shown.size} registers`);
    t.deepEqual(different(shown, printed(run.stdout)[0]), [], "the same");
    t.match(run.stdout, /^ {2}PAT {14}0007040600070406$/mu, "MSRs");
    t.match(run.stdout, /^ {2}env\.mxcsr = /mu, "what is not a register is after them");
    t.match(run.stdout, /^ {2}env\.eip = 0x/mu, "registers by the names that --set takes, too");
  }
  rmSync(work, { recursive: true, force: true });
  t.end();
});

test("--json keeps the field names and nothing else", async (t) => {
  const run = await qevm(["devices", join(corpusEntry("live-q35").folder, "stream.gz"), "cpu/1", "--json"]);
  const { devices } = flatDocument(run.stdout) as { devices: Record<string, unknown>[] };
  t.deepEqual(
    devices.map((device) => Object.keys(device)),
    [["section", "instance", "id", "version", "streamOffset", "payloadLength", "fields", "subsections"]],
  );
  const names = Object.keys(devices[0]!["fields"] as object);
  t.ok(names.every((name) => name.startsWith("env.")) && names.includes("env.regs"), `${names.length} fields of env`);
  t.end();
});

test("another device shows its fields", async (t) => {
  const run = await qevm(["devices", join(corpusEntry("machine-none").folder, "stream.gz"), "timer"]);
  t.match(run.stdout, /^ {2}cpu_ticks_offset = /mu);
  t.end();
});

testEach("two CPUs in long mode, registers at known values", async (t, qemu) => {
  const folder = makeWorkFolder(qemu);
  writeFileSync(join(folder, "boot.img"), longModeGuest());
  const machine = "-machine pc -m 16 -smp 2 -nodefaults -vga none -drive file=$DIR/boot.img,format=raw,if=ide";
  const vm = await QemuProcess.start(qemu, machine.split(" "), folder);
  try {
    await inLongMode(vm);
    await vm.execute("stop");
    const text = await vm.human("info registers -a");
    const cpus = text
      .split(/CPU#\d+/u)
      .slice(1)
      .map((cpu) => shownRegisters(cpu));
    t.equal(cpus.length, 2);
    t.equal(cpus[0]?.get("efer"), 0x500n, "long mode");
    t.ok((cpus[0]?.get("r15") ?? 0n) !== 0n, "register values that are not zero");
    const run = await qevm(["devices", await saveStream(vm), "cpu"]);
    const found = printed(run.stdout);
    t.deepEqual(
      cpus.map((shown, k) => different(shown, found[k])),
      [[], []],
      "the same",
    );
  } finally {
    await vm.close();
  }
});
