/** `EAX`, `RIP`, `EFL` as the 64-bit registers that they are part of. */
function wide(name: string): string {
  return name === "EFL" || name === "RFL" ? "rflags" : `r${name.slice(1)}`;
}

/**
 * The output of `info registers` for one x86 CPU, by lower-case names with 64-bit register names: `rax`, `rflags`,
 * `cr0`, `efer`, `cs`, `cs base`, `cs limit`, `gdt base`, ...
 */
export function shownRegisters(text: string): Map<string, bigint> {
  const shown = new Map<string, bigint>();
  const put = (name: string, digits: string): void => void shown.set(name.toLowerCase(), BigInt(`0x${digits}`));
  for (const [, name, digits] of text.matchAll(/\b([ER](?:[A-D]X|[SD]I|[BS]P|IP|FL)) *=([0-9a-f]+)/gu)) {
    put(wide(name!), digits!);
  }
  for (const [, name, digits] of text.matchAll(/\b(R\d+|CR\d|DR\d|EFER) *=([0-9a-f]+)/gu)) put(name!, digits!);
  for (const line of text.split("\n")) {
    const [, name, selector, base, limit, flags] =
      /^([C-GS]S|LDT|TR) *=([0-9a-f]{4}) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+)/u.exec(line) ?? [];
    if (name !== undefined) {
      put(name, selector!);
      put(`${name} base`, base!);
      put(`${name} limit`, limit!);
      put(`${name} flags`, flags!);
    }
    const [, table, tableBase, tableLimit] = /^(GDT|IDT) *= *([0-9a-f]+) ([0-9a-f]+)/u.exec(line) ?? [];
    if (table !== undefined) {
      put(`${table} base`, tableBase!);
      put(`${table} limit`, tableLimit!);
    }
  }
  return shown;
}
