/** A saved Linux as our gdb server shows it, against QEMU's stub of the same paused guest. */
import { join } from "node:path";
import { Random } from "../../src/analyse/fuzz/random.js";
import { translate, mappedRanges, type AddressSpace } from "../../src/guest/walk/index.js";
import { serveGdb, type SavedGuest } from "../../src/serve/gdb/index.js";
import { GdbClient } from "../clients/gdb.js";
import { whileServing } from "../clients/serving.js";
import type { QemuProcess } from "../qemu/process.js";
import type { System } from "./systems.js";

interface StubResult {
  readonly modes: readonly string[];
  /** Of all CPUs. */
  readonly registers: number;
  readonly mapped: number;
  readonly refused: number;
  /** Of the mapped ones, those that QEMU shows with other rights only. */
  readonly byRights: number;
  /** Addresses that are mapped to devices, which qevm refuses; QEMU's `gva2gpa` is compared. */
  readonly devices: number;
  readonly different: readonly string[];
}

/** Serves a guest at a unix socket for as long as `ask` runs. */
export async function served<T>(guest: SavedGuest, folder: string, ask: (path: string) => Promise<T>): Promise<T> {
  const path = join(folder, "ours.sock");
  const tools = { devices: async () => await Promise.resolve([]), save: undefined };
  return await whileServing(
    async (how) => await serveGdb(`unix:${path}`, guest, tools, how),
    async () => await ask(path),
  );
}

/** Registers of each CPU and memory at so many virtual addresses of each. */
export async function compareStubs(
  vm: QemuProcess,
  system: System,
  guest: SavedGuest,
  path: string,
  count: number,
): Promise<StubResult> {
  const [real, ours] = [await GdbClient.connect(vm.file("gdb.sock")), await GdbClient.connect(path)];
  const different: string[] = [];
  const result = { modes: [] as string[], registers: 0, mapped: 0, refused: 0, byRights: 0, devices: 0, different };
  const both = async (packet: string): Promise<[string, string]> => [await real.text(packet), await ours.text(packet)];
  const same = async (packet: string): Promise<void> => {
    const [right, shown] = await both(packet);
    if (right !== shown) different.push(`${packet}: QEMU ${right}, qevm ${shown}`);
  };
  try {
    for (const client of [real, ours]) await client.text("qSupported:multiprocess+");
    const [theirs, own] = [await real.numbers(), await ours.numbers()];
    const known = [...own.keys()].filter((name) => theirs.has(name));
    for (const cpu of guest.cpus) {
      await same(`Hgp1.${(cpu.instance + 1).toString(16)}`);
      for (const name of known) {
        const right = await real.text(`p${theirs.get(name)!.toString(16)}`);
        const shown = await ours.text(`p${own.get(name)!.toString(16)}`);
        result.registers++;
        if (name === "pswm" && right !== shown && withoutCondition(right) === withoutCondition(shown)) continue;
        if (right !== shown) different.push(`CPU ${cpu.instance} ${name}: QEMU ${right}, qevm ${shown}`);
      }
      const space = guest.space(cpu);
      result.modes.push(space.mode);
      for (const address of await addresses(system, space, count, cpu.instance)) {
        const packet = `m${address.toString(16)},20`;
        const device = await deviceAt(guest, space, address);
        if (device !== undefined) {
          // Reading a device may do anything.
          const line = { "command-line": `gva2gpa 0x${address.toString(16)}`, "cpu-index": cpu.instance };
          const ask = async (): Promise<string> => ((await vm.execute("human-monitor-command", line)) as string).trim();
          const right = `gpa: 0x${device.toString(16)}`;
          const said = await ask();
          if (said === right || (await otherRights(system, real, theirs, ask)).includes(right)) result.devices++;
          else different.push(`CPU ${cpu.instance} ${address.toString(16)}: QEMU ${said}, qevm ${device.toString(16)}`);
          continue;
        }
        const [right, shown] = await both(packet);
        if (right === shown) {
          if (right.startsWith("E")) result.refused++;
          else result.mapped++;
        } else if (right === "closed") {
          different.push(`CPU ${cpu.instance} ${packet}: QEMU has ended: ${vm.stderr}`);
          return result;
        } else if (
          right.startsWith("E") &&
          (await otherRights(system, real, theirs, async () => await real.text(packet))).includes(shown)
        ) {
          result.mapped++;
          result.byRights++;
        } else different.push(`CPU ${cpu.instance} ${packet}: QEMU ${right}, qevm ${shown}`);
      }
    }
  } finally {
    for (const client of [real, ours]) client.socket.destroy();
  }
  return result;
}

/** s390x: TCG's condition code is not in a stream. */
function withoutCondition(digits: string): string {
  return (BigInt(`0x${digits}`) & ~(3n << 44n)).toString(16);
}

/** The physical address of a part of the 32 bytes that is mapped to what is not memory. */
async function deviceAt(guest: SavedGuest, space: AddressSpace, address: bigint): Promise<bigint | undefined> {
  const { physical } = await translate(space, address);
  return physical !== undefined && guest.memory.memoryAt(Number(physical), 1) === 0 ? physical : undefined;
}

/** What QEMU replies with other rights. */
async function otherRights(
  { rights }: System,
  real: GdbClient,
  numbers: ReadonlyMap<string, number>,
  ask: () => Promise<string>,
): Promise<string[]> {
  const number = rights === undefined ? undefined : numbers.get(rights.register);
  if (number === undefined) return [];
  const digits = await real.text(`p${number.toString(16)}`);
  const old = BigInt(`0x${Buffer.from(Buffer.from(digits, "hex").toReversed()).toString("hex")}`);
  const replies: string[] = [];
  for (const value of [...rights!.values(old).filter((one) => one !== old), old]) {
    const bytes = Buffer.from(value.toString(16).padStart(digits.length, "0"), "hex").toReversed();
    await real.text(`P${number.toString(16)}=${Buffer.from(bytes).toString("hex")}`);
    if (value !== old) replies.push(await ask());
  }
  return replies;
}

/** A third in mapped ranges, a third beside their ends, the rest near the kernel and anywhere. */
async function addresses(system: System, space: AddressSpace, count: number, seed: number): Promise<bigint[]> {
  const random = new Random(seed);
  const wide = (): bigint => (BigInt(random.u32()) << 32n) | BigInt(random.u32());
  const ranges: { virtual: bigint; length: bigint }[] = [];
  for await (const { virtual, length } of mappedRanges(space)) ranges.push({ virtual, length });
  const found: bigint[] = [];
  while (found.length < count) {
    const range = ranges.length > 0 ? random.pick(ranges) : { virtual: 0n, length: 1n << 30n };
    const { virtual, length } = range;
    const near = random.pick(system.near);
    const anywhere = wide() >> BigInt(random.below(40));
    const choice = [
      virtual + (wide() % length),
      virtual + (random.below(2) === 0 ? -0x10n : length - 0x10n),
      near + (wide() & 0x7fff_ffffn),
      anywhere,
    ][random.below(20) < 7 ? 0 : 1 + random.below(3)]!;
    if (choice >= 0n && choice < (1n << 64n) - 0x20n) found.push(choice);
  }
  return found;
}
