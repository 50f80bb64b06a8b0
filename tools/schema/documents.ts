/** The shapes of the results, from which `schema/*.json` is made. What a name means is in `names.ts`. */

/** A JSON Schema, without the descriptions. */
export interface Shape {
  readonly [keyword: string]: unknown;
}

/** A member that may be absent. */
class Optional {
  constructor(readonly shape: Shape) {}
}

type Members = Readonly<Record<string, Shape | Optional>>;

const text: Shape = { type: "string" };
const bool: Shape = { type: "boolean" };
const whole: Shape = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
const number: Shape = { type: "number" };
/** 64-bit values of the guest and of the wire. */
const hex: Shape = { type: "string", pattern: "^-?0x[0-9a-f]+$" };
const digits: Shape = { type: "string", pattern: "^(?:[0-9a-f]{2})*$" };
const anything: Shape = {};
const texts = list(text);
const counts = map(whole);

function one(...values: readonly (string | number)[]): Shape {
  return { enum: values };
}

function list(items: Shape): Shape {
  return { type: "array", items };
}

/** An object whose names are data. */
function map(values: Shape): Shape {
  return { type: "object", additionalProperties: values };
}

function opt(shape: Shape): Optional {
  return new Optional(shape);
}

function orNull(shape: Shape): Shape {
  return typeof shape["type"] === "string" && shape["enum"] === undefined
    ? { ...shape, type: [shape["type"], "null"] }
    : { anyOf: [shape, { type: "null" }] };
}

/** An object with these members; others only where `more` is given. */
function obj(members: Members, more: Shape | false = false): Shape {
  const properties: Record<string, Shape> = {};
  const required: string[] = [];
  for (const [name, member] of Object.entries(members)) {
    properties[name] = member instanceof Optional ? member.shape : member;
    if (!(member instanceof Optional)) required.push(name);
  }
  return { type: "object", additionalProperties: more, required, properties };
}

function pair(shape: Shape): Shape {
  return obj({ a: shape, b: shape });
}

const notice = { code: text, message: text, streamOffset: opt(whole), path: texts };
const fault = obj({ ...notice, expected: opt(text), found: opt(text), side: opt(one("a", "b")) });
const damage = obj({ ...notice, block: opt(text), blockOffset: opt(whole), replacedBy: opt(text) });

const identity = { section: text, instance: whole, id: whole };
const encodings = { normal: whole, zero: whole, compressed: whole, xbzrle: whole, multifd: whole, mapped: whole };
const pageCounts = obj(encodings);
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

const inspection: Members = {
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

const device = obj({
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

const explanation: Members = {
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

const side = obj({
  file: text,
  container: orNull(text),
  streamVersion: whole,
  machine: orNull(text),
  pageSize: whole,
  complete: bool,
  streamLength: whole,
  opaqueBytes: whole,
  describedBy: orNull(one("own", "lent", "of the other")),
});
const compared = obj({ same: whole, otherEncoding: whole, different: whole, onlyA: whole, onlyB: whole });
const place = pair(orNull(whole));
const fieldPlace = { field: text, streamOffset: place };
const byteRange = obj({ fieldOffset: whole, length: whole, a: digits, b: digits });
const difference = {
  anyOf: [
    obj({ ...fieldPlace, kind: one("value"), a: anything, b: anything }),
    obj({ ...fieldPlace, kind: one("length", "version"), a: whole, b: whole }),
    obj({ ...fieldPlace, kind: one("type"), a: text, b: text }),
    obj({ ...fieldPlace, kind: one("only"), side: one("a", "b"), value: anything }),
    obj({ ...fieldPlace, kind: one("bytes"), length: pair(whole), ranges: list(byteRange) }),
  ],
};
const diff: Members = {
  verdict: one("identical", "same", "different"),
  a: side,
  b: side,
  firstByte: orNull(obj({ streamOffset: pair(whole), part: pair(orNull(text)) })),
  differences: list(
    obj({
      level: one("meaning", "encoding"),
      part: text,
      subject: text,
      a: anything,
      b: anything,
      streamOffset: place,
    }),
  ),
  ram: obj({
    notCompared: orNull(text),
    layout: orNull(texts),
    compared,
    differentBytes: whole,
    blocks: list(
      obj({ block: text, blockLength: pair(whole), compared, differentBytes: whole, recordCounts: pair(pageCounts) }),
    ),
    ranges: list(
      obj({
        block: text,
        blockOffset: whole,
        length: whole,
        physical: orNull(hex),
        first: opt(obj({ blockOffset: whole, a: digits, b: digits })),
      }),
    ),
  }),
  devices: list(obj({ section: text, instance: whole, streamOffset: pair(whole), fields: list(difference) })),
  leftOut: opt(obj({ parts: whole, pageCount: whole, values: whole })),
};

const dumped: Members = {
  part: text,
  section: orNull(text),
  unit: text,
  streamOffset: whole,
  length: whole,
  record: orNull(obj({ recordIndex: whole, kind: text, block: orNull(text), blockOffset: orNull(whole) })),
  reason: orNull(text),
};
const dumpField = obj({ field: text, streamOffset: whole, length: whole, value: opt(text) });

const tally = obj({ normal: whole, zero: whole, compressed: whole, xbzrle: whole });
const converted = {
  machine: orNull(text),
  streamLength: obj({ read: whole, written: whole }),
  pages: obj({ read: tally, written: tally }),
  complete: bool,
};
const split = {
  machine: orNull(text),
  pages: obj({ normal: whole, zero: whole }),
  packets: whole,
  epochs: whole,
  complete: bool,
};
const files = list(obj({ file: text, channelLength: whole }));
const segment = obj({ physical: hex, length: whole, block: text, blockOffset: whole, device: opt({ const: true }) });
const fact = obj({ file: text, role: text, channelLength: whole, complete: bool, reason: opt(text) });
const refused = {
  refused: list(obj({ from: text, receivedBytes: whole, why: text })),
  refusedMore: whole,
};
const tls = orNull(obj({ protocol: text, cipher: text, peer: orNull(text) }));

const change = obj({
  where: text,
  streamOffset: opt(whole),
  old: text,
  new: text,
  rule: text,
  weight: one("form", "unused", "guest", "never"),
  reason: text,
  advice: opt(text),
  setting: opt(obj({ place: text, property: text, value: text })),
});

const read = {
  machine: orNull(text),
  layout: orNull(texts),
  index: orNull(text),
};
const virtualRead = { ...read, virtual: hex, cpu: whole, mode: text };

const ours = obj({ outcome: text, message: opt(text), find: opt(text) });
const remarkable = obj({
  seed: whole,
  kinds: texts,
  did: text,
  outcome: text,
  signal: orNull(text),
  exitCode: orNull(whole),
  text,
  ours,
});
const fuzzReport = obj({
  cases: whole,
  outcomes: map(counts),
  texts: list(obj({ text, cases: whole, seed: whole })),
  remarkable: list(remarkable),
  disagreements: list(obj({ qemuWords: text, ourWords: text, cases: whole, seed: whole, did: text })),
});

/** The result of each command, by the name of its schema. */
export const RESULTS: Readonly<Record<string, Shape>> = {
  inspect: obj(inspection),
  devices: obj({ devices: list(device) }),
  dump: obj({
    at: whole,
    ...dumped,
    fields: list(dumpField),
    context: obj({ streamOffset: whole, hex: digits }),
  }),
  verify: obj({
    identical: bool,
    streamLength: whole,
    opaqueBytes: whole,
    namedBytes: whole,
    recompressed: obj({ pageCount: whole, identicalCount: whole, levels: list(whole) }),
    deltas: obj({ pageCount: whole, identicalCount: whole }),
    firstDifference: orNull(whole),
    complete: bool,
    files: opt(
      list(
        obj({
          file: text,
          role: text,
          channelLength: whole,
          identical: bool,
          firstDifference: orNull(whole),
          opaqueBytes: whole,
        }),
      ),
    ),
    epochs: opt(orNull(whole)),
  }),
  explain: obj(explanation),
  diff: obj(diff),
  extract: {
    anyOf: [
      obj({
        machine: orNull(text),
        pageSize: whole,
        complete: bool,
        blocks: list(obj({ block: text, file: text, blockLength: whole, inStream: bool })),
      }),
      obj({
        machine: orNull(text),
        complete: bool,
        format: one("raw", "elf", "lime", "kdump"),
        segments: list(segment),
        layout: texts,
        cpuCount: whole,
        vmcoreinfo: orNull(text),
        mappedRangeCount: orNull(whole),
        fileLength: whole,
      }),
    ],
  },
  read: {
    anyOf: [
      obj({ ...read, physical: orNull(hex), length: whole, segments: list(segment), hex: digits }),
      obj({ ...virtualRead, length: whole, numbers: opt(list(hex)), hex: digits }),
      obj({ ...virtualRead, string: text, ended: bool, hex: digits }),
      obj({
        ...virtualRead,
        fault: orNull(text),
        physical: opt(hex),
        mappedPageSize: opt(whole),
        length: opt(whole),
        writable: opt(bool),
        executable: opt(bool),
        user: opt(bool),
        block: opt(orNull(text)),
        blockOffset: opt(orNull(whole)),
        steps: list(
          obj({
            tableLevel: text,
            tableAddress: hex,
            entryIndex: whole,
            entryAddress: hex,
            entry: orNull(hex),
            meaning: text,
          }),
        ),
      }),
    ],
  },
  gdb: obj({ uri: text, target: text, cpuCount: whole }),
  "serve-nbd": obj({
    uri: text,
    nbd: text,
    exports: list(obj({ export: text, description: text, exportLength: whole })),
  }),
  unpack: obj({
    out: text,
    pageSize: whole,
    blocks: list(obj({ block: text, blockLength: whole, file: text })),
    deviceCount: whole,
  }),
  pack: obj({
    streamLength: whole,
    edits: obj({ becamePages: whole, recompressedPayloads: whole, added: whole }),
  }),
  convert: { anyOf: [obj(converted), obj({ ...split, files })] },
  adapt: obj({
    machines: obj({ old: orNull(text), new: orNull(text) }),
    enough: bool,
    changes: list(change),
    refusedChanges: list(change),
    streamLength: opt(whole),
    command: opt(texts),
  }),
  generate: obj({ out: text, streamLength: whole }),
  send: obj({ uri: text, sentBytes: whole, seconds: number }),
  receive: obj({
    uri: text,
    channels: list(fact),
    returnPath: bool,
    receivedBytes: whole,
    complete: bool,
    ...refused,
    tls,
    out: text,
    as: one("recording", "stream"),
  }),
  relay: obj({
    listenUri: text,
    connectUri: text,
    channels: list(fact),
    converted: orNull(obj(converted)),
    split: orNull(obj(split)),
    loaded: orNull({ const: true }),
    ...refused,
    tls,
    out: orNull(text),
  }),
  "catalogue-list": obj({
    origins: texts,
    vmsds: list(obj({ vmsd: text, versionIds: list(whole), layoutCount: whole, origins: texts })),
  }),
  "catalogue-learn": obj({
    out: text,
    learnt: list(obj({ file: text, origin: text, deviceCount: whole })),
  }),
  "fuzz-decode": obj({
    seed: whole,
    cases: whole,
    seconds: number,
    perSecond: number,
    finds: list(obj({ find: text, seed: whole, input: whole, kinds: texts, did: text, message: text })),
    outcomes: map(counts),
    heldMore: number,
  }),
  "fuzz-minimise": obj({ fromBytes: whole, toBytes: whole, outcome: text, tests: whole }),
  "fuzz-qemu": fuzzReport,
  "fuzz-report": fuzzReport,
};

/** The envelope around a result. */
export function documentShape(name: string, result: Shape): Shape {
  const members: Members = {
    qevm: text,
    schema: { const: `${name}/1` },
    file: orNull(text),
    container: orNull(text),
    warnings: list(obj(notice)),
    damage: list(damage),
    damageCount: opt(whole),
    result: orNull(result),
    error: opt(fault),
  };
  return obj(members);
}
