import { edge, type Random } from "../../src/analyse/fuzz/random.js";
import { indexParts, indexWith } from "../streams/page-index.js";

/** Damages bytes where structures are likely: near bytes that change, mostly at the start and the end. */
export function damageBytes(bytes: Uint8Array, random: Random): { bytes: Uint8Array; did: string } {
  let out = Buffer.from(bytes);
  const did: string[] = [];
  for (let k = 1 + (random.once(3) ? random.below(6) : 0); k > 0; k--) {
    const at = pickPosition(out, random);
    const kind = random.below(8);
    if (kind < 5) {
      const width = random.pick([1, 2, 4, 8]);
      const little = random.once(3);
      const value = edge(random, 8 * width, numberAt(out, at, width, little));
      for (let i = 0; i < width && at + i < out.length; i++)
        out[at + i] = Number((value >> BigInt(8 * (little ? i : width - 1 - i))) & 0xffn);
      did.push(`${width} bytes at ${at} = 0x${value.toString(16)}${little ? " little-endian" : ""}`);
    } else if (kind === 5) {
      const n = 1 + random.below(32);
      out = Buffer.concat([out.subarray(0, at), out.subarray(at + n)]);
      did.push(`${n} bytes at ${at} removed`);
    } else if (kind === 6) {
      out = Buffer.from(out.subarray(0, at));
      did.push(`cut at ${at}`);
    } else {
      const from = pickPosition(out, random);
      const piece = Buffer.from(out.subarray(from, from + 1 + random.below(300)));
      out = Buffer.concat([out.subarray(0, at), piece, out.subarray(at)]);
      did.push(`${piece.length} bytes of ${from} put at ${at}`);
    }
  }
  return { bytes: out, did: did.join("; ") };
}

function numberAt(bytes: Buffer, at: number, width: number, little: boolean): bigint {
  let value = 0n;
  for (let i = 0; i < width; i++) value = (value << 8n) | BigInt(bytes[at + (little ? width - 1 - i : i)] ?? 0);
  return value;
}

function pickPosition(bytes: Buffer, random: Random): number {
  const { length } = bytes;
  const far = random.below(4);
  const within = far === 0 ? 128 : far === 1 ? 4096 : length;
  for (let tries = 0; tries < 40; tries++) {
    const at = random.below(Math.min(within, length));
    const real = random.once(5) ? length - 1 - at : at;
    if (tries === 39 || bytes[real] !== bytes[real + 1] || bytes[real] !== bytes[real - 1]) return Math.max(0, real);
  }
  return 0;
}

const TEXTS = [
  "-1",
  "0",
  "1e400",
  "1.5",
  "4294967295",
  "4294967296",
  "9007199254740993",
  "18446744073709551615",
  "18446744073709551616",
  '""',
  '"x"',
  '"__proto__"',
  '"constructor"',
  '"0xffffffffffffffff"',
  '"\\u0000"',
  '"../../etc/passwd"',
  "null",
  "true",
  "[]",
  "{}",
  "[[]]",
  '{"__proto__":null}',
];

/** A JSON text with one value, key or element changed, or very deep nesting. */
export function damageJson(text: string, random: Random): { text: string; did: string } {
  const places = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[[{]/gu)];
  if (places.length === 0) return { text: random.pick(TEXTS), did: "all replaced" };
  const found = random.pick(places);
  const { index } = found;
  const isKey =
    /^\s*:/u.test(text.slice(index + found[0].length, index + found[0].length + 20)) && found[0].startsWith('"');
  const end = found[0] === "[" || found[0] === "{" ? closing(text, index) : index + found[0].length;
  const deep = 20_000 * (1 + random.below(10));
  const other = random.pick(places);
  const wanted = isKey
    ? random.pick(['"__proto__"', '"constructor"', '""', '"x"', `"${"y".repeat(70_000)}"`])
    : random.once(8)
      ? `${"[".repeat(deep)}${"]".repeat(deep)}`
      : random.once(8)
        ? `${'{"a":'.repeat(deep)}1${"}".repeat(deep)}`
        : random.once(6)
          ? text.slice(
              other.index,
              other[0] === "[" || other[0] === "{" ? closing(text, other.index) : other.index + other[0].length,
            )
          : random.once(6)
            ? ""
            : random.once(12)
              ? `"${"y".repeat(70_000)}"`
              : random.pick(TEXTS);
  return {
    text: text.slice(0, index) + wanted + text.slice(end),
    did: `${text.slice(index, end).slice(0, 40)} at ${index} = ${wanted.slice(0, 40)}`,
  };
}

function closing(text: string, start: number): number {
  let depth = 0;
  let quoted = false;
  for (let at = start; at < text.length; at++) {
    const c = text[at];
    if (quoted) {
      if (c === "\\") at++;
      else if (c === '"') quoted = false;
    } else if (c === '"') quoted = true;
    else if (c === "[" || c === "{") depth++;
    else if ((c === "]" || c === "}") && --depth === 0) return at + 1;
  }
  return text.length;
}

/** Names that have a meaning if they are not quoted: options, paths, markup, inherited object keys. */
const NAMES = [
  ",kernel=/etc/shadow,x",
  "../../../../etc/passwd",
  "<script>alert(1)</script>",
  "$(id)`id`;id|id&id #",
  "__proto__",
  "constructor",
  "toString",
  "\u001b[31m\u0007\r\n",
  "\u00ff\u00fe\u0080",
  "%s%n%p%x",
  "/0000:00:1f.7/virtio",
  "'; rm -rf / #",
];

/** Replaces one name of the stream (section, block, field or machine) everywhere by another of the same length. */
export function damageName(bytes: Uint8Array, random: Random): { bytes: Uint8Array; did: string } | undefined {
  const out = Buffer.from(bytes);
  const end = startOfDescription(out)?.start ?? out.length;
  const places = [...out.toString("latin1", 0, Math.min(end, 4096)).matchAll(/[\w./:-]{3,60}/gu)];
  const later = [...out.toString("latin1", Math.max(0, end - 65_536), end).matchAll(/[a-z][\w./:-]{3,60}/gu)];
  const found = random.pick([places, later].filter((one) => one.length > 0));
  if (found === undefined) return undefined;
  const [name] = random.pick(found);
  const wanted = random.pick(NAMES).padEnd(name.length, "x").slice(0, name.length);
  for (let at = out.indexOf(name, 0, "latin1"); at >= 0; at = out.indexOf(name, at + name.length, "latin1"))
    out.write(wanted, at, "latin1");
  return { bytes: out, did: `name ${name} = ${JSON.stringify(wanted)}` };
}

/** Changes values of device state and keeps the description: bytes in the last 64 KiB before it. */
export function damageState(bytes: Uint8Array, random: Random): { bytes: Uint8Array; did: string } | undefined {
  const out = Buffer.from(bytes);
  const end = startOfDescription(out)?.start;
  if (end === undefined || end < 16) return undefined;
  const did: string[] = [];
  for (let k = 1 + random.below(12); k > 0; k--) {
    const width = random.pick([1, 1, 2, 4, 8]);
    const at = end - width - random.below(Math.min(65_536, end - width));
    const value = edge(random, 8 * width, numberAt(out, at, width, false));
    for (let i = 0; i < width; i++) out[at + i] = Number((value >> BigInt(8 * (width - 1 - i))) & 0xffn);
    did.push(`${width} bytes at ${at} = 0x${value.toString(16)}`);
  }
  return { bytes: out, did: `state: ${did.join("; ")}` };
}

/** Position of a stream's VMDESCRIPTION (its type byte), and the length of its text. */
function startOfDescription(all: Buffer): { start: number; length: number } | undefined {
  const brace = all.lastIndexOf('{"');
  let start = brace < 0 ? -1 : all.lastIndexOf(Buffer.from([0x06]));
  for (; start >= 0; start = start === 0 ? -1 : all.lastIndexOf(Buffer.from([0x06]), start - 1))
    if (all[start + 5] === 0x7b && start + 5 + all.readUInt32BE(start + 1) <= all.length) break;
  return start < 0 ? undefined : { start, length: all.readUInt32BE(start + 1) };
}

/** Damages a stream's VMDESCRIPTION as JSON and corrects its length; undefined where there is none. */
export function damageDescription(bytes: Uint8Array, random: Random): { bytes: Uint8Array; did: string } | undefined {
  const all = Buffer.from(bytes);
  const found = startOfDescription(all);
  if (found === undefined) return undefined;
  const { start, length } = found;
  const { text, did } = damageJson(all.toString("latin1", start + 5, start + 5 + length), random);
  const json = Buffer.from(text, "latin1");
  const head = Buffer.from(all.subarray(0, start + 5));
  head.writeUInt32BE(json.length, start + 1);
  return { bytes: Buffer.concat([head, json, all.subarray(start + 5 + length)]), did: `description: ${did}` };
}

/** Damages the head of a page index as JSON and corrects the checksum. */
export function damageIndex(bytes: Uint8Array, random: Random): { bytes: Uint8Array; did: string } {
  const { text, did } = damageJson(indexParts(bytes).head, random);
  return { bytes: indexWith(bytes, text), did: `index: ${did}` };
}
