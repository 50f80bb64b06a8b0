import { FLAGS } from "../../guest/cores/register-lines.js";
import type { RegisterSet } from "./registers/index.js";

/** Parts of a 128-bit vector: GDB's type of one, how many, and the name. */
const PARTS: readonly (readonly [string, number, string])[] = [
  ["ieee_single", 4, "v4_float"],
  ["ieee_double", 2, "v2_double"],
  ["int8", 16, "v16_int8"],
  ["int16", 8, "v8_int16"],
  ["int32", 4, "v4_int32"],
  ["int64", 2, "v2_int64"],
];

/** Types that registers refer to, by name. */
const TYPES: Readonly<Record<string, () => string>> = {
  vec128: () =>
    [
      ...PARTS.map(([type, count, name]) => `<vector id="${name}_t" type="${type}" count="${count}"/>`),
      `<union id="vec128">`,
      ...PARTS.map(([, , name]) => `<field name="${name}" type="${name}_t"/>`),
      `<field name="uint128" type="uint128"/>`,
      `</union>`,
    ].join(""),
  x86_eflags: () =>
    [
      `<flags id="x86_eflags" size="4">`,
      ...FLAGS.map(([bit, name]) => `<field name="${name}" start="${bit}" end="${bit}"/>`),
      `</flags>`,
    ].join(""),
};

/** GDB's description of a target with these registers. */
export function targetXml({ architecture, features, registers }: RegisterSet): string {
  const numbers = new Map([...registers].map(([number, register]) => [register, number]));
  const parts = features.map((feature) => {
    const types = new Set(feature.registers.map(({ type }) => type ?? ""));
    const own = [...types].map((type) => TYPES[type]?.() ?? "").join("");
    const lines = feature.registers.map((register) => {
      const { name, bits, type = `uint${bits}`, group } = register;
      const grouped = group === undefined ? "" : ` group="${group}"`;
      return `<reg name="${name}" bitsize="${bits}" type="${type}" regnum="${numbers.get(register)}"${grouped}/>`;
    });
    return `<feature name="${feature.name}">${own}${lines.join("")}</feature>`;
  });
  const head = `<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">`;
  return `${head}<architecture>${architecture}</architecture>${parts.join("")}</target>`;
}
