/** What is said of one stream: inspect, devices, explain, and errors. */
import { anything, bool, counts, list, map, obj, one, opt, orNull, text, texts, type Members, whole } from "./shape.js";

export const notice = { code: text, message: text, streamOffset: opt(whole), path: texts };
export const fault = obj({ ...notice, expected: opt(text), found: opt(text), side: opt(one("a", "b")) });
export const damage = obj({ ...notice, block: opt(text), blockOffset: opt(whole), replacedBy: opt(text) });

export const identity = { section: text, instance: whole, id: whole };
const encodings = { normal: whole, zero: whole, compressed: whole, xbzrle: whole, multifd: whole, mapped: whole };
export const pageCounts = obj(encodings);
/** The fields beside the name are those of the protocol; they may be called as anything else. */
const command = obj({ name: text, streamOffset: whole }, anything);
const message = obj({ name: text, channelOffset: whole }, anything);
const uncertain = { anyOf: [{ const: true }, texts] };
const undecoded = list(obj({ streamOffset: whole, length: whole, reason: text }));

const section = obj({
  type: one("start", "part", "end", "full"),
  ...identity,
  version: whole,
  streamOffset: whole,
  sectionLength: whole,
  describedBy: opt(text),
  uncertain: opt(uncertain),
  recordCounts: opt(counts),
});

const channel = obj({
  file: text,
  role: text,
  channelLength: whole,
  channelId: orNull(whole),
  packets: whole,
  syncs: whole,
  method: orNull(text),
  normal: whole,
  zero: whole,
  messages: list(message),
  messageCounts: counts,
});

const container = {
  anyOf: [
    obj({
      kind: one("libvirt"),
      fileOffset: whole,
      format: text,
      formatVersion: whole,
      wasRunning: bool,
      dataLength: whole,
      xml: text,
      cookie: orNull(text),
    }),
    obj({
      kind: one("qcow2"),
      formatVersion: whole,
      clusterSize: whole,
      snapshot: text,
      snapshots: list(obj({ snapshotId: text, snapshotName: text, date: text, vmStateSize: whole })),
    }),
    obj({
      kind: one("xen"),
      fileOffset: whole,
      format: one("xl", "libvirt", "libxl", "record"),
      xenRecords: list(obj({ xenRecord: text, fileOffset: whole, count: whole, payloadLength: whole })),
      domain: orNull(obj({ domainType: text, pageSize: whole, xen: text })),
    }),
    obj({ kind: one("foreign"), foreignBytes: whole }),
    obj({ kind: one("recording"), channelFiles: texts, postcopy: bool }),
    obj({ kind: one("gzip", "bzip2", "xz", "lzop", "lz4", "zstd") }),
  ],
};

export const inspection: Members = {
  streamVersion: whole,
  machine: orNull(text),
  capabilities: texts,
  evident: texts,
  pageSize: whole,
  ram: obj({ blocks: list(obj({ block: text, blockLength: whole, ...encodings })), pages: pageCounts }),
  sections: list(section),
  commands: list(command),
  devices: list(obj(identity)),
  streamLength: whole,
  opaqueBytes: whole,
  namedBytes: whole,
  staleBytes: whole,
  skippedBytes: whole,
  trailingBytes: whole,
  catalogue: orNull(
    obj({ deviceCount: whole, catalogueBytes: whole, uncertainBytes: whole, uncertainDeviceCount: whole }),
  ),
  undecoded,
  uncheckedPayloads: whole,
  complete: bool,
  footers: orNull(bool),
  vmdescription: bool,
  containers: opt(list(container)),
  channels: opt(list(channel)),
};

export const device = obj({
  ...identity,
  version: whole,
  streamOffset: whole,
  payloadLength: opt(whole),
  describedBy: opt(text),
  uncertain: opt(uncertain),
  others: opt(whole),
  reason: opt(text),
  fields: opt(map(anything)),
  subsections: opt(anything),
});

const remedy = obj({ what: text, arguments: opt(texts), command: opt(texts), monitor: opt(texts) });
const finding = obj({
  cause: text,
  text,
  rank: one(0, 1, 2),
  about: obj({
    streamOffset: opt(whole),
    section: opt(text),
    instance: opt(whole),
    block: opt(text),
    field: opt(text),
    value: opt(anything),
    local: opt(anything),
  }),
  here: texts,
  why: texts,
  remedies: list(remedy),
});

export const explanation: Members = {
  machine: orNull(text),
  streamLength: whole,
  complete: bool,
  findings: list(finding),
  unknown: texts,
  harmless: texts,
  mentioned: texts,
  faults: list(obj({ error: fault, times: whole, streamOffsets: list(whole), means: texts, remedies: list(remedy) })),
  destination: obj({
    arguments: texts,
    diskArguments: texts,
    devices: list(
      obj({ section: text, instance: whole, streamOffset: whole, place: text, argument: text, also: texts }),
    ),
    unnamed: texts,
    capabilities: texts,
    notes: texts,
  }),
  versions: obj({
    firstRelease: orNull(text),
    lastRelease: orNull(text),
    rules: list(obj({ firstRelease: opt(text), lastRelease: opt(text), why: text, remedy: opt(remedy) })),
    loads: one("may", "unchecked", "unknown", "none"),
    adapt: orNull(obj({ firstRelease: text, lastRelease: text, command: texts })),
  }),
  notes: texts,
  inspection: obj(inspection),
};
