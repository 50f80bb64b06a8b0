/**
 * Names out of a stream in arguments that are proposed. The stream's author chooses them, and the user copies the line:
 * a name goes into an argument only where a QEMU can have it; else a placeholder and a note take its place.
 *
 * Source: QEMU util/id.c `id_wellformed` (letters, digits, `-`, `.`, `_`; a letter first); the names of QEMU's and
 * distributions' machine types; QEMU util/keyval.c and qemu-option.c: a comma in a value is written twice.
 */

/** Machine types: as QEMU's own and distributions' are named; 100 bytes at most. */
export function isMachineName(name: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/u.test(name);
}

/** Ids of objects, devices, block nodes. */
export function isId(name: string): boolean {
  return /^[A-Za-z][A-Za-z0-9._-]{0,127}$/u.test(name);
}

/** Names of capabilities and migration parameters, as monitors take them. */
export function isCapabilityName(name: string): boolean {
  return /^[a-z][a-z0-9-]{0,63}$/u.test(name);
}

/** USB ports from the root port on, as `port=` takes them: `1`, `1.2.3`. */
export function isUsbPort(name: string): boolean {
  return /^\d{1,3}(?:\.\d{1,3}){0,6}$/u.test(name);
}

/** A machine type as -machine takes it: TYPE replaces an invalid name. */
export function machineWord(name: string | null | undefined): string {
  return name !== null && name !== undefined && isMachineName(name) ? name : "TYPE";
}

/** A value of an option list: QEMU reads two commas as one of the value's. */
export function optionValue(value: string): string {
  return value.replaceAll(",", ",,");
}
