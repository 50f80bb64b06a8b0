import test from "tape";
import { explainStream, MemorySource, type Explanation } from "../src/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { breakages } from "../tools/destination/index.js";
import { applies } from "../tools/destination/refusals.js";
import { brokenCause } from "./support/broken-causes.js";
import { qemuOf } from "./support/loads.js";
import { inParallel } from "./support/parallel.js";
import type { Refused } from "./support/refused-case.js";
import { REFUSED, refuse, streamOf } from "./support/refused.js";

/** Each is really given to a destination that does not fit; its very words are explained. */
for (const version of ["7.2", "10.0", "11.1"]) {
  test(`QEMU ${version}'s own words, and what was done to bring them about`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const causes = new Set<string>();
    await inParallel(
      2,
      REFUSED.filter((one) => one.causes?.[version] !== null),
      async (one) => {
        const stream = streamOf(one);
        const { args, capabilities = [], files = {}, send } = one;
        const { loaded, text } = await refuse(qemu, { args, capabilities, files, stream }, send);
        t.equal(loaded, one.loads === true, `${one.name}: ${one.loads === true ? "loaded with a warning" : "refused"}`);
        const explained = await explainStream(new MemorySource(stream), text);
        const cause = one.causes?.[version] ?? one.cause;
        check(t, one, cause, stream, explained, text);
        for (const finding of explained.findings) causes.add(finding.cause);
      },
    );
    t.ok(causes.size >= (version === "7.2" ? 25 : 20), `${causes.size} different texts`);
  });
}

for (const version of ["5.2", "7.2", "10.0", "11.1"]) {
  test(`broken streams, in the words of QEMU ${version} itself`, async (t) => {
    const qemu = qemuOf(t, version);
    if (qemu === undefined) return;
    const applicable = breakages.filter((breakage) => applies(breakage, qemu));
    await inParallel(2, applicable, async (breakage) => {
      const source = corpusEntry(Number(version) >= 9 ? "v10.0-none" : "machine-none-tiny");
      const stream = breakage.apply(source.open());
      const args = source.capture.command.slice(source.capture.command.indexOf("-machine"));
      const { loaded, text } = await refuse(qemu, { args, capabilities: breakage.capabilities ?? [], stream });
      if (loaded) return;
      const { findings } = await explainStream(new MemorySource(stream), text);
      t.equal(findings[0]?.cause, brokenCause(breakage.name, version), `${breakage.name}: ${text.split("\n")[0]}`);
    });
  });
}

function check(t: test.Test, one: Refused, cause: string, stream: Buffer, explained: Explanation, text: string): void {
  const [first] = explained.findings;
  if (first === undefined) {
    t.fail(`${one.name}: nothing known in ${JSON.stringify(text)}`);
    return;
  }
  t.equal(first.cause, cause, `${one.name}: ${first.text}`);
  t.ok(text.includes(first.text), `${one.name}: the words are QEMU's`);
  const same = cause === one.cause;
  for (const [key, value] of Object.entries(same ? (one.about ?? {}) : {})) {
    t.equal((first.about as Record<string, unknown>)[key], value, `${one.name}: ${key}`);
  }
  if (one.offset !== undefined && same) t.equal(first.about.streamOffset, one.offset(stream), `${one.name}: address`);
  if (one.says !== undefined && same)
    t.match([...first.here, ...first.why].join("\n"), one.says, `${one.name}: says it`);
  const proposed = explained.findings.flatMap(({ remedies }) => remedies.flatMap((remedy) => remedy.arguments ?? []));
  for (const word of one.proposes ?? [])
    t.ok(proposed.includes(word), `${one.name}: proposes ${word} (${proposed.join(" ")})`);
  t.deepEqual(explained.unknown, [], `${one.name}: every line is known`);
}
