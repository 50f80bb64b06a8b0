/** `adaptToFile` and `checkAdapt` of `qevm/node`, and what explain says of them. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { explainStream } from "../src/index.js";
import { adaptToFile, askPattern, checkAdapt } from "../src/node.js";
import { corpusEntry } from "../tools/corpus.js";
import { patternOf } from "./support/pattern.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-90-library-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

async function* chunks(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 100_000) yield await Promise.resolve(bytes.subarray(at, at + 100_000));
}

test("every kind of input is adapted alike", async (t) => {
  const [old, pattern] = [corpusEntry("pc-2.4").open(), patternOf("pc")];
  const file = join(scratch, "old.mig");
  writeFileSync(file, old);
  const made: Buffer[] = [];
  for (const [name, input] of [
    ["bytes", old],
    ["path", file],
    ["chunks", chunks(old)],
    ["blob", new Blob([Uint8Array.from(old)])],
  ] as const) {
    const out = join(scratch, `${name}.mig`);
    const report = await adaptToFile(input, name === "chunks" ? chunks(pattern) : pattern, out);
    t.ok(report.enough, name);
    made.push(readFileSync(out));
    t.equal(report.streamLength, made.at(-1)!.length, `${name}: bytes`);
  }
  t.ok(
    made.every((one) => one.equals(made[0]!)),
    "the same file",
  );
  t.end();
});

test("checkAdapt writes nothing; a refusal names what accept takes", async (t) => {
  const [old, pattern] = [corpusEntry("q35-virtio").open(), patternOf("q35")];
  const refused = await checkAdapt(old, pattern);
  t.notOk(refused.enough);
  const out = join(scratch, "none.mig");
  t.notOk((await adaptToFile(old, pattern, out)).enough);
  t.notOk(existsSync(out), "nothing is written");
  const accept = refused.refused.map(({ rule }) => rule);
  t.ok((await checkAdapt(old, pattern, { accept })).enough, "every one by its name");
  const error = await checkAdapt(old, Buffer.from("# a README")).catch((reason: unknown) => reason);
  t.match(String(error), /the pattern/u, "an error of the pattern is told from one of the guest");
  t.end();
});

test("explain says how far adapt reaches, with the command", async (t) => {
  const { versions, findings } = await explainStream(
    corpusEntry("pc-2.4").open(),
    "unsupported machine type 'pc-i440fx-2.4'",
  );
  t.deepEqual([versions.lastRelease, versions.adapt?.lastRelease], ["10.0", "11.1"], "further than as it is");
  const command = versions.adapt!.command;
  t.deepEqual(command.slice(0, 7), [..."qevm adapt FILE --out NEW --".split(" "), "qemu-system-x86_64"]);
  const machine = command[command.indexOf("-machine") + 1]!;
  t.equal(machine.split(",")[0], "pc", "the destination's newest machine type");
  t.ok(command.includes("-m"), "with the rest of what the file shows");
  t.ok(
    findings.some(({ remedies }) => remedies.some((one) => one.command?.join() === command.join())),
    "and as a remedy",
  );
  const newest = await explainStream(patternOf("pc"));
  t.equal(newest.versions.adapt?.firstRelease, "7.2", "the way down");
  t.equal((await explainStream(corpusEntry("pc-6.2").open())).versions.adapt, null, "nothing is gained");
  t.equal(
    (await explainStream(corpusEntry("aarch64-virt").open())).versions.adapt,
    null,
    "no machine that the rules know",
  );
  t.end();
});

test("a QEMU that is asked and does not save: the error is why, not what it warned of", async (t) => {
  const answers = `process.stderr.write("warning: nic has no peer\\n");
    console.log('{"QMP":{}}');
    let rest = "";
    process.stdin.on("data", (part) => {
      const lines = (rest + part).split("\\n");
      rest = lines.pop();
      for (const line of lines.filter((one) => one.trim() !== "")) {
        const { id, execute } = JSON.parse(line);
        console.log(JSON.stringify({ id, ...(execute === "qmp_capabilities" ? { return: {} } : { error: { desc: "no such folder" } }) }));
      }
    });`;
  try {
    await askPattern([process.execPath, "-e", answers, "--"], "pc-i440fx-7.2");
    t.fail("it cannot answer");
  } catch (error) {
    t.match(String(error), /no such folder.*it also said: warning: nic has no peer/su);
  }
});
