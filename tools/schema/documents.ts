/** The result of each command, of which the schemas of the package are made. What a name means is in `names.ts`. */
import {
  bool,
  counts,
  digits,
  hex,
  list,
  map,
  number,
  obj,
  one,
  opt,
  orNull,
  text,
  texts,
  type Members,
  type Shape,
  whole,
} from "./shape.js";
import { damage, device, explanation, fault, inspection, notice } from "./stream-shapes.js";
import { diff, dumpField, dumped } from "./part-shapes.js";

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

const adapted = {
  machines: obj({ old: orNull(text), new: orNull(text) }),
  enough: bool,
  changes: list(change),
  refusedChanges: list(change),
  streamLength: opt(whole),
};

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
    staleBytes: whole,
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
  adapt: obj({ ...adapted, command: opt(texts) }),
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
  relay: {
    anyOf: [
      obj({
        listenUri: text,
        connectUri: text,
        channels: list(fact),
        converted: orNull(obj({ ...converted, notSet: opt(list(obj({ name: text, why: text }))) })),
        split: orNull(obj(split)),
        adapted: orNull(obj(adapted)),
        loaded: orNull({ const: true }),
        ...refused,
        tls,
        out: orNull(text),
      }),
      // Something is refused, and the guest stays with the source.
      obj({ listenUri: text, connectUri: text, adapted: obj(adapted) }),
    ],
  },
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
