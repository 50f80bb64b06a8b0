/** The texts of the releases as data, and what logs make of them: JSON, time stamps, prefixes, several at once. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { explainStream, MemorySource, type Explanation } from "../src/index.js";
import { matchTexts } from "../src/analyse/explain/match.js";
import { openInput } from "../src/io/container/input.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { processorClock } from "./support/processor-time.js";

/** A text as QEMU or libvirt prints it, with values put in; the releases whose program has it. */
interface Sample {
  text: string;
  source: string;
  versions: string[];
}

const SAMPLES = JSON.parse(readFileSync(join(projectRoot(), "spec", "81-qemu-texts.json"), "utf8")) as Sample[];

/** Not explained, and why. */
const OTHERS: Readonly<Record<string, string>> = {
  "Unable to flush VMState": "said of a save",
  "alpha: do not alloc a0 bytes of ram at ff when runstate is INMIGRATE": "said under Xen only",
};

const STREAM = corpusEntry("machine-none-tiny").open();

const explain = async (text: string): Promise<Explanation> => await explainStream(new MemorySource(STREAM), text);

const explainField = async (name: string, text: string): Promise<Explanation> =>
  await explainStream(await openInput(join(projectRoot(), "corpus", "field", name)), text);

const causes = (text: string): string[] => matchTexts(text).matches.map(({ text: { cause } }) => cause);

test("the texts of QEMU 5.2 to 11.1 and of libvirt that a load can end in are known", (t) => {
  const unknown = SAMPLES.filter(({ text }) => {
    const { matches, unknown: rest, harmless } = matchTexts(`qemu-system-x86_64: ${text}`);
    return matches.length === 0 || rest.length + harmless.length > 0;
  });
  t.deepEqual(
    unknown.map(({ text }) => text),
    Object.keys(OTHERS),
    `${SAMPLES.length - unknown.length} of ${SAMPLES.length} are known`,
  );
  for (const version of ["5.2", "7.2", "10.0", "11.1", "libvirt"]) {
    const of = SAMPLES.filter(({ versions }) => versions.includes(version));
    t.ok(of.length >= (version === "libvirt" ? 30 : 150), `${version}: ${of.length} texts`);
  }
  t.end();
});

test("each is explained: a reason, and nothing that has been left open in it", async (t) => {
  for (const { text } of SAMPLES) {
    if (text in OTHERS) continue;
    const { findings } = await explain(text);
    const words = findings.flatMap(({ why, remedies }) => [...why, ...remedies.map(({ what }) => what)]);
    t.ok(
      findings.every(({ why }) => why.length > 0 && why.every((one) => one.length > 20)) &&
        words.every((one) => !/\{\w+\}|undefined/u.test(one)),
      text,
    );
  }
});

const BLOCK = 'Unknown ramblock "pc.bios", cannot accept migration';

/** What a log makes of a line. */
const WRAPPED: Readonly<Record<string, (line: string) => string>> = {
  "time stamp": (line) => `2024-05-01T10:00:00.123456Z qemu-system-x86_64: ${line}`,
  "journald and libvirt": (line) =>
    `May 01 10:00:00 host libvirtd[812]: 2024-05-01 10:00:00.123+0000: 812: error : qemuProcessReportLogError:2075 : internal error: process exited while connecting to monitor: 2024-05-01T10:00:00Z qemu-kvm: ${line}`,
  KubeVirt: (line) =>
    JSON.stringify({
      component: "virt-launcher",
      level: "error",
      msg: `internal error: process exited while connecting to monitor: qemu-kvm: ${line}`,
      pos: "qemuProcessReportLogError:2075",
      subcomponent: "libvirt",
      timestamp: "2024-05-01T10:00:00.000000Z",
    }),
  "JSON in JSON, after a prefix": (line) =>
    `pod/x: ${JSON.stringify({ log: JSON.stringify({ msg: `qemu: ${line}` }) })}`,
  "QMP's answer": (line) => JSON.stringify({ error: { class: "GenericError", desc: line } }),
  "a part of JSON": (line) => JSON.stringify(`qemu-system-x86_64: ${line}`).slice(1, -1),
  CRLF: (line) => `first\r\nqemu-system-x86_64: ${line}\r\n`,
  HTML: (line) => line.replaceAll('"', "&quot;").replaceAll("'", "&#39;"),
  "typographic quotes": (line) => line.replaceAll(/"([^"]*)"/gu, "\u201c$1\u201d"),
  colours: (line) => `\u001b[31merror:\u001b[0m ${line}`,
};

test("a text is found in what a log makes of it, and names the same block", (t) => {
  for (const [name, wrap] of Object.entries(WRAPPED)) {
    const { matches } = matchTexts(wrap(BLOCK));
    const found = matches.find(({ text }) => text.cause === "unknown-block");
    t.equal(found?.parts["block"], "pc.bios", name);
  }
  const footer = WRAPPED["KubeVirt"]!("Missing section footer for 0000:00:1f.0/ICH9LPC");
  t.equal(
    matchTexts(footer).matches.find(({ text }) => text.cause === "footer-missing")?.parts["section"],
    "0000:00:1f.0/ICH9LPC",
    "the end of the JSON is not part of the name",
  );
  t.deepEqual(causes("2024-05-01T10:00:00.000000Z qemu-system-x86_64: 2 != 1"), ["equal"], "two numbers alone");
  t.end();
});

test("several at once: each is explained", async (t) => {
  const text = [
    `2024-05-01T10:00:00Z qemu-system-x86_64: ${BLOCK}`,
    "2024-05-01T10:00:00Z qemu-system-x86_64: error while loading state for instance 0x0 of device 'ram'",
    "2024-05-01T10:00:00Z qemu-system-x86_64: load of migration failed: Invalid argument",
    "error: Failed to restore domain from /tmp/a.save",
    "error: operation failed: guest CPU doesn't match specification: missing features: xsaves",
    "Error -22 while loading VM state",
  ].join("\r\n");
  t.deepEqual(
    (await explain(text)).findings.map(({ cause }) => cause),
    ["unknown-block", "libvirt-cpu", "loading", "load-failed", "loadvm-failed"],
  );
  const json = JSON.stringify({ msg: `qemu-kvm: ${BLOCK}\nqemu-kvm: load of migration failed: Invalid argument` });
  t.deepEqual(causes(json), ["unknown-block", "load-failed"], "two lines in one string of JSON");
});

test("the bits of virtio features come from the text where the file has others", async (t) => {
  const text = [
    "Features 0x1c0010130afffaf unsupported. Allowed features: 0x10179bfffef",
    "error while loading state for instance 0x0 of device '0000:00:03.0/virtio-net'",
  ].join("\n");
  const why = (await explainField("net-no-msix.bin", text)).findings[0]?.why.join(" ") ?? "";
  t.match(why, /bits 54, 55, 56 \(54: GUEST_USO4\) \(55: GUEST_USO6\) \(56: HOST_USO\)/u);
  t.match((await explain(text)).findings[0]?.why.join(" ") ?? "", /bits 54, 55, 56/u, "a file without the device");
});

test("a log of a MiB of braces and backslashes is looked through in less than a second", (t) => {
  for (const part of ['{"a":"', '\\"', '{"', "\\", "\\n", "a", "A_", "0 ", '{"a":{"a":', "&quot;{"]) {
    const spent = processorClock();
    matchTexts(part.repeat((1 << 20) / part.length));
    const took = spent();
    t.ok(took < 3000, `${JSON.stringify(part)}: ${Math.round(took)} ms`);
  }
  t.end();
});
