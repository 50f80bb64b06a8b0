import { latin1 } from "../../../bytes/reader.js";
import type { DamageKind, Work } from "../damage.js";
import { ascii, be, concat } from "../raw-bytes.js";
import { edge } from "../random.js";

/** Damage to the VMDESCRIPTION: a text that says how to read what comes before it, and may be wrong. */
export const DESCRIPTION_KINDS: readonly DamageKind[] = [
  { name: "description-length", apply: length },
  { name: "description-missing", apply: missing },
  { name: "description-size", apply: (work) => numbers(work, "size") },
  { name: "description-array", apply: (work) => numbers(work, "array_len") },
  { name: "description-index", apply: (work) => numbers(work, "index") },
  { name: "description-version", apply: (work) => numbers(work, "version") },
  { name: "description-page-size", apply: (work) => numbers(work, "page_size") },
  { name: "description-instance", apply: (work) => numbers(work, "instance_id") },
  {
    name: "description-type",
    apply: (work) =>
      words(work, "type", [
        "struct",
        "uint8",
        "uint64",
        "buffer",
        "int32 equal",
        "bitmap",
        "tmp",
        "qtailq",
        "gtree",
        "nullptr",
        "str",
        "x",
        "unused_buffer",
        "timer",
      ]),
  },
  {
    name: "description-name",
    apply: (work) => words(work, "name", ["", "ram", "cpu", "x", "a".repeat(3000), "__proto__", "constructor"]),
  },
  {
    name: "description-vmsd",
    apply: (work) => words(work, "vmsd_name", ["", "x", "PCIDevice", "virtio", "__proto__"]),
  },
  { name: "description-nesting", apply: nesting },
  { name: "description-many", apply: many },
  {
    name: "description-cut",
    apply: (work) => text(work, (json) => json.slice(0, work.random.below(json.length)), "cut"),
  },
  { name: "description-character", apply: (work) => text(work, (json) => character(work, json), "a character") },
  { name: "description-field-removed", apply: fieldRemoved },
  { name: "description-field-twice", apply: fieldTwice },
  { name: "description-number-form", apply: numberForm },
];

/** Changes the text; its length is adjusted if the damage is repaired. `what` is called after the change. */
function text(work: Work, change: (json: string) => string, what: string | (() => string)): string | undefined {
  const index = work.any("description");
  if (index < 0 || work.list[index]!.bytes.length < 6) return undefined;
  const old = work.list[index]!.bytes;
  const now = ascii(change(latin1(old.subarray(5))));
  const count = work.repair ? be(now.length, 4) : old.subarray(1, 5);
  work.replace(index, concat([6], count, now));
  return `VMDESCRIPTION: ${typeof what === "string" ? what : what()}`;
}

function length(work: Work): string | undefined {
  const index = work.any("description");
  if (index < 0 || work.list[index]!.bytes.length < 5) return undefined;
  const value = edge(work.random, 32, BigInt(work.list[index]!.bytes.length - 5));
  work.change(index, (_, view) => view.setUint32(1, Number(value)));
  return `VMDESCRIPTION: length ${value}`;
}

function missing(work: Work): string | undefined {
  const index = work.any("description");
  if (index < 0) return undefined;
  work.remove(index);
  return "without VMDESCRIPTION";
}

/** Start and end of a random match, or undefined. */
function spot(
  work: Work,
  json: string,
  pattern: RegExp,
): { from: number; to: number; found: RegExpMatchArray } | undefined {
  const all = [...json.matchAll(pattern)];
  if (all.length === 0) return undefined;
  const found = work.random.pick(all);
  const from = found.index;
  return { from, to: from + found[0].length, found };
}

function numbers(work: Work, key: string): string | undefined {
  let what = "";
  return text(
    work,
    (json) => {
      const at = spot(work, json, new RegExp(`"${key}": ?([0-9]+)`, "gu"));
      const value = edge(work.random, work.random.pick([16, 31, 32, 53, 64]), BigInt(at?.found[1] ?? 0));
      what = `${value}`;
      if (at !== undefined) return `${json.slice(0, at.from)}"${key}":${value}${json.slice(at.to)}`;
      // No such key: adds it to the first field.
      return json.replace('{"name":', `{"${key}":${value},"name":`);
    },
    () => `${key} ${what}`,
  );
}

function words(work: Work, key: string, list: readonly string[]): string | undefined {
  const value = work.random.pick(list);
  return text(
    work,
    (json) => {
      const at = spot(work, json, new RegExp(`"${key}": ?"[^"]*"`, "gu"));
      return at === undefined ? json : `${json.slice(0, at.from)}"${key}":${JSON.stringify(value)}${json.slice(at.to)}`;
    },
    `${key} ${JSON.stringify(value.slice(0, 20))}`,
  );
}

/** A struct in a struct in a struct. */
function nesting(work: Work): string | undefined {
  const depth = work.random.once(8) ? 5000 : work.random.pick([3, 31, 32, 70]);
  const open = '{"name":"n","type":"struct","struct":{"vmsd_name":"n","version":1,"fields":[';
  return text(
    work,
    (json) => {
      const deep = `${open.repeat(depth)}${']},"size":1}'.repeat(depth)}`;
      return json.replace(/"fields": ?\[/u, `"fields":[${deep},`);
    },
    `structs ${depth} deep`,
  );
}

function many(work: Work): string | undefined {
  const count = work.random.once(8) ? 3000 : work.random.pick([1, 10, 100]);
  return text(
    work,
    (json) => {
      const field = '{"name":"f","type":"uint8","size":1},';
      return json.replace(/"fields": ?\[/u, `"fields":[${field.repeat(count)}`);
    },
    `${count} fields more`,
  );
}

function character(work: Work, json: string): string {
  const at = work.random.below(json.length);
  const c = work.random.pick(['"', "{", "}", "[", "]", ",", ":", "\\", "\u0000", "9", "e", "-", "\u00ff"]);
  return json.slice(0, at) + c + json.slice(at + work.random.below(2));
}

const FIELD =
  /\{"name": ?"[^"]*", ?(?:"array_len": ?[0-9]+, ?|"index": ?[0-9]+, ?)?"type": ?"[^"]*", ?"size": ?[0-9]+\},? ?/gu;

function fieldRemoved(work: Work): string | undefined {
  return text(
    work,
    (json) => {
      const at = spot(work, json, FIELD);
      return at === undefined ? json : json.slice(0, at.from) + json.slice(at.to);
    },
    "a field less",
  );
}

function fieldTwice(work: Work): string | undefined {
  return text(
    work,
    (json) => {
      const at = spot(work, json, FIELD);
      if (at === undefined) return json;
      const field = at.found[0];
      return `${json.slice(0, at.from)}${field.replace(/,? ?$/u, "")},${json.slice(at.from)}`;
    },
    "a field twice",
  );
}

/** A number as JSON allows it and no QEMU writes it. */
function numberForm(work: Work): string | undefined {
  const form = work.random.pick(["1e3", "-1", "1.5", "1e400", "0x10", "01", "true", "null", '"1"', "[]", "{}"]);
  return text(
    work,
    (json) => {
      const at = spot(work, json, /"(size|version|instance_id|page_size|array_len)": ?[0-9]+/gu);
      return at === undefined ? json : `${json.slice(0, at.from)}"${at.found[1]}":${form}${json.slice(at.to)}`;
    },
    `a number as ${form}`,
  );
}
