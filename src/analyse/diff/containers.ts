import { containerName, type Container } from "../../io/container/types.js";
import { Differences } from "./parts.js";
import type { Scanned } from "./scan.js";
import type { PartDifference } from "./types.js";

type Libvirt = Extract<Container, { kind: "libvirt" }>;
type Qcow2 = Extract<Container, { kind: "qcow2" }>;

/** The containers of the streams. A domain XML is part of the meaning: libvirt starts the guest from it. */
export function compareContainers({ containers: a }: Scanned, { containers: b }: Scanned): PartDifference[] {
  const out = new Differences("container");
  out.value("encoding", "kind", containerName(a), containerName(b));
  const [la, lb] = [a, b].map((all) => all.find((one): one is Libvirt => one.kind === "libvirt"));
  if (la !== undefined && lb !== undefined) {
    lines(out, "domain XML", la.data.xml, lb.data.xml);
    lines(out, "cookie", la.data.cookie ?? "", lb.data.cookie ?? "");
    out.value("meaning", "was running", la.header.wasRunning === 1, lb.header.wasRunning === 1);
    out.value("encoding", "version", la.header.version, lb.header.version);
  }
  const [qa, qb] = [a, b].map((all) => all.find((one): one is Qcow2 => one.kind === "qcow2"));
  if (qa !== undefined && qb !== undefined) out.value("encoding", "snapshot", qa.snapshot, qb.snapshot);
  return out.found;
}

/** The first line of two texts that is not the same. */
function lines(out: Differences, name: string, a: string, b: string): void {
  if (a === b) return;
  const [ta, tb] = [a.split("\n"), b.split("\n")];
  let at = 0;
  while (ta[at] === tb[at]) at++;
  out.value("meaning", `${name}, line ${at + 1}`, ta[at]?.trim() ?? null, tb[at]?.trim() ?? null);
}
