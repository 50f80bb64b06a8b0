/** What is said of parts of streams: two compared, one taken apart. */
import {
  anything,
  bool,
  digits,
  hex,
  list,
  obj,
  one,
  opt,
  orNull,
  pair,
  text,
  texts,
  type Members,
  whole,
} from "./shape.js";
import { pageCounts } from "./stream-shapes.js";

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
export const diff: Members = {
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

export const dumped: Members = {
  part: text,
  section: orNull(text),
  unit: text,
  streamOffset: whole,
  length: whole,
  record: orNull(obj({ recordIndex: whole, kind: text, block: orNull(text), blockOffset: orNull(whole) })),
  reason: orNull(text),
};
export const dumpField = obj({ field: text, streamOffset: whole, length: whole, value: opt(text) });
