/** `-smp` as a stream shows it. */
import { isStructState, type FieldValue } from "../../codec/vmstate/index.js";
import { findStructField } from "./state-fields.js";
import type { Survey } from "./survey.js";

/** Elements of an array inside a struct of any device: states of hot plug have one for each place. */
export function placesOf({ devices }: Survey, struct: string): FieldValue[] | undefined {
  for (const { state } of devices) {
    const found = state === undefined ? undefined : findStructField(state, struct);
    const places = found !== undefined && isStructState(found) ? found.fields["devs"] : undefined;
    if (Array.isArray(places)) return places;
  }
  return undefined;
}

/**
 * CPUs, the places for more (elements of `cpuhp_state.devs`), and the topology where the APIC ids show that a core or
 * package has not a power of two of them.
 * Source: QEMU hw/acpi/cpu.c, include/hw/i386/topology.h (5.2 to 11.1).
 */
export function processorArguments(survey: Survey, notes: string[]): string[] {
  const instances = (name: string): number[] =>
    survey.devices.flatMap((one) => (one.name === name ? [one.instance] : []));
  const cpus = instances("cpu").length;
  if (cpus === 0) return [];
  const most = Math.max(cpus, placesOf(survey, "cpuhp_state")?.length ?? 0);
  const ids = instances("apic").toSorted((a, b) => a - b);
  const topology = ids.length !== cpus || ids.every((id, i) => id === i) ? undefined : fitting(ids, most);
  if (most === 1) return [];
  if (ids.length === cpus && topology === undefined && ids.some((id, i) => id !== i))
    notes.push(
      `the CPUs' APIC ids are ${ids.slice(0, 16).join(", ")}: one was plugged or unplugged (device_add ...-x86_64-cpu), or -smp has more levels: give the source's`,
    );
  const parts = [
    `${cpus}`,
    ...(most === cpus && topology === undefined ? [] : [`maxcpus=${most}`]),
    ...(topology === undefined
      ? []
      : [`sockets=${topology.sockets}`, `cores=${topology.cores}`, `threads=${topology.threads}`]),
  ];
  return ["-smp", parts.join(",")];
}

interface Topology {
  sockets: number;
  cores: number;
  threads: number;
}

/** Numbers of CPUs for which a topology is searched. */
const MOST = 4096;

/** The topology of `most` CPUs whose first ones have these APIC ids: the one with the fewest threads. */
function fitting(ids: readonly number[], most: number): Topology | undefined {
  if (most > MOST) return undefined;
  for (let threads = 1; threads <= most; threads++) {
    if (most % threads !== 0) continue;
    for (let cores = 1; cores <= most / threads; cores++) {
      if ((most / threads) % cores !== 0) continue;
      if (ids.every((id, i) => id === apicId(i, cores, threads)))
        return { sockets: most / threads / cores, cores, threads };
    }
  }
  return undefined;
}

/** Thread, core and package each in as many bits as their number needs. */
function apicId(index: number, cores: number, threads: number): number {
  const [threadBits, coreBits] = [bits(threads), bits(cores)];
  const core = Math.floor(index / threads) % cores;
  const socket = Math.floor(index / threads / cores);
  return (index % threads) + core * 2 ** threadBits + socket * 2 ** (threadBits + coreBits);
}

function bits(count: number): number {
  return Math.ceil(Math.log2(count));
}
