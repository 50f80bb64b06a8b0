import type { PlainDevice } from "./plain.js";
import type { PlainValue } from "./plain-values.js";

/** What a value inside a subsection of the device begins with. */
const SUBSECTIONS = "subsections.";

/**
 * The values of a device, each with the name that `setPlainValue` takes: `env.eip`, `regs[3]`,
 * `subsections.cpu/msr.env.msr`. An array of numbers or strings is one value; its elements have names, too.
 */
export function plainPaths({ fields, subsections }: PlainDevice): [path: string, value: PlainValue][] {
  const found: [string, PlainValue][] = [];
  for (const [key, value] of Object.entries(fields)) add(value, key, found);
  for (const [key, value] of Object.entries(subsections)) add(value, SUBSECTIONS + key, found);
  return found;
}

function add(value: PlainValue, path: string, found: [string, PlainValue][]): void {
  if (Array.isArray(value) && value.some((element) => typeof element === "object")) {
    value.forEach((element, i) => add(element, `${path}[${i}]`, found));
  } else if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    for (const [key, member] of Object.entries(value)) add(member, `${path}.${key}`, found);
  } else found.push([path, value]);
}

/** Sets the value of that name, an element of an array included. False: the device has no such value. */
export function setPlainValue(plain: PlainDevice, path: string, value: PlainValue): boolean {
  if (setIn(plain.fields, path, value)) return true;
  return path.startsWith(SUBSECTIONS) && setIn(plain.subsections, path.slice(SUBSECTIONS.length), value);
}

/** Names contain dots and brackets themselves, so that every key that the rest begins with is tried. */
function setIn(node: PlainValue, path: string, value: PlainValue): boolean {
  if (Array.isArray(node)) {
    const [, digits = "", rest = ""] = /^\[(\d{1,9})\](?:\.?)(.*)$/su.exec(path) ?? [];
    const at = Number(digits);
    if (digits === "" || at >= node.length) return false;
    if (rest !== "") return setIn(node[at]!, rest, value);
    node[at] = value;
    return true;
  }
  if (typeof node !== "object" || node === null) return false;
  for (const key of Object.keys(node)) {
    if (!path.startsWith(key)) continue;
    const rest = path.slice(key.length);
    if (rest === "") {
      node[key] = value;
      return true;
    }
    if (/^[.[]/u.test(rest) && setIn(node[key]!, rest.replace(/^\./u, ""), value)) return true;
  }
  return false;
}
