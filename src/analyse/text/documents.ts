/** Results as JSON has them in their envelope, for the program and for the page. */
import type { QevmError, Warning } from "../../bytes/errors.js";
import type { Container } from "../../io/container/types.js";
import type { Pair, StreamDiff, StreamSummary } from "../diff/index.js";
import type { Explanation } from "../explain/index.js";
import type { Inspection } from "../inspect/inspect.js";
import type { Verification } from "../inspect/verify.js";
import { envelope, type About, type Envelope, type Told } from "./envelope.js";

/** A result, and what was noticed on the way to it. */
type Document = readonly [result: object, told: Told];

/** `qevm inspect`. @param containers in detail; undefined: a recording */
export function inspectDocument(inspection: Inspection, containers?: readonly Container[]): Document {
  const { container: _, warnings, ...result } = inspection;
  return [
    { ...result, ...(containers === undefined ? {} : { containers: containers.map(containerDocument) }) },
    { warnings },
  ];
}

/** One container by the names that the results have. */
function containerDocument(container: Container): object {
  switch (container.kind) {
    case "libvirt": {
      const { kind, offset, header, format, data } = container;
      const { version, wasRunning, dataLength } = header;
      const cookie = data.cookie ?? null;
      const rest = { formatVersion: version, wasRunning: wasRunning === 1, dataLength, xml: data.xml, cookie };
      return { kind, fileOffset: offset, format, ...rest };
    }
    case "qcow2": {
      const { kind, version, clusterSize, snapshot, snapshots } = container;
      const all = snapshots.map(({ id, name, date, vmStateSize }) => {
        return { snapshotId: id, snapshotName: name, date, vmStateSize };
      });
      return { kind, formatVersion: version, clusterSize, snapshot, snapshots: all };
    }
    case "xen": {
      const { kind, format, offset, records, domain } = container;
      const shown = records.map((one) => {
        const { name, count, bytes } = one;
        return { xenRecord: name, fileOffset: one.offset, count, payloadLength: bytes };
      });
      return {
        kind,
        fileOffset: offset,
        format,
        xenRecords: shown,
        domain: domain === undefined ? null : { domainType: domain.type, pageSize: domain.pageSize, xen: domain.xen },
      };
    }
    case "foreign":
      return { kind: container.kind, foreignBytes: container.length };
    case "recording":
      return { kind: container.kind, channelFiles: container.files, postcopy: container.postcopy };
    default:
      return { kind: container.kind };
  }
}

/** `qevm verify`. */
export function verifyDocument({ inspection, ...result }: Verification): Document {
  return [result, { warnings: inspection.warnings }];
}

/** `qevm explain`: each fault of the file is damage, too. */
export function explainDocument({ inspection, faults: damage, ...explained }: Explanation): Document {
  const [inspected, { warnings = [] }] = inspectDocument(inspection);
  const faults = damage.flatMap(({ error, streamOffsets: offsets }) => {
    const at = offsets.length === 0 ? [error.offset] : offsets;
    return at.map((offset) => faultAt(error, offset));
  });
  const rest = warnings.filter((one) => !faults.some(({ code, offset }) => one.code === code && one.offset === offset));
  return [{ ...explained, faults: damage, inspection: inspected }, { warnings: [...rest, ...faults] }];
}

function faultAt({ code, what, path }: QevmError, offset: number | undefined): Warning {
  return { code, message: what, offset, path, skipped: true };
}

/** `qevm diff`. @param files their names */
export function diffDocument(about: About, files: Pair<string>, diff: StreamDiff): Envelope {
  const { a, b, verdict, ...rest } = diff;
  const warnings = [...named(files.a, a), ...named(files.b, b)];
  const result = { verdict, a: summary(files.a, a), b: summary(files.b, b), ...rest };
  return envelope(about, result, { warnings, passedOver: a.passedOver + b.passedOver });
}

function summary(file: string, one: StreamSummary): object {
  const { warnings: _, passedOver: _passedOver, ...of } = one;
  return { file, ...of };
}

function named(file: string, { warnings }: StreamSummary): Warning[] {
  return warnings.map((warning) => ({ ...warning, path: [file, ...warning.path] }));
}
