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
 * package has not a power of two of them. CPUs that were plugged in leave gaps in the instances of "cpu": these are
 * places in the machine, and those of "apic" are APIC ids.
 * Source: QEMU hw/acpi/cpu.c, hw/i386/x86.c, include/hw/i386/topology.h (5.2 to 11.1).
 */
export function processorArguments(survey: Survey, notes: string[]): string[] {
  const instances = (name: string): number[] =>
    survey.devices.flatMap((one) => (one.name === name ? [one.instance] : [])).toSorted((a, b) => a - b);
  const places = instances("cpu");
  if (places.length === 0) return [];
  const known = placesOf(survey, "cpuhp_state")?.length;
  const least = Math.max(places.at(-1)! + 1, known ?? 0);
  if (least === 1 || least > MOST) return [];
  const gap = places.findIndex((place, i) => place !== i);
  const started = gap < 0 ? places.length : gap;
  const ids = instances("apic");
  const plain = ids.length !== places.length || ids.every((id, i) => id === places[i]);
  const sockets: Topology = { most: least, sockets: least, cores: 1, threads: 1 };
  const topology = plain ? (gap < 0 ? undefined : sockets) : fitting(places, ids, least, known === least);
  if (!plain && topology === undefined)
    notes.push(
      `the CPUs' APIC ids are ${ids.slice(0, 16).join(", ")}: -smp has more levels than sockets, cores and threads: give the source's`,
    );
  const most = topology?.most ?? least;
  const parts = [
    `${started}`,
    ...(most === started && topology === undefined ? [] : [`maxcpus=${most}`]),
    ...(topology === undefined
      ? []
      : [`sockets=${topology.sockets}`, `cores=${topology.cores}`, `threads=${topology.threads}`]),
  ];
  return ["-smp", parts.join(","), ...pluggedIn(places.slice(started), topology ?? sockets, notes)];
}

/** CPUs after the first gap, as devices. */
function pluggedIn(places: readonly number[], { cores, threads }: Topology, notes: string[]): string[] {
  if (places.length === 0) return [];
  notes.push(
    `CPUs ${places.slice(0, 16).join(", ")} were plugged in: qemu64 stands for the source's CPU model, the same as in -cpu`,
  );
  return places.flatMap((place) => {
    const [core, thread] = [Math.floor(place / threads) % cores, place % threads];
    const socket = Math.floor(place / threads / cores);
    return ["-device", `qemu64-x86_64-cpu,socket-id=${socket},core-id=${core},thread-id=${thread}`];
  });
}

interface Topology {
  /** CPUs that fit in. */
  most: number;
  sockets: number;
  cores: number;
  threads: number;
}

/** Numbers of CPUs for which a topology is searched. */
const MOST = 4096;

/**
 * The topology that gives CPUs at these places these APIC ids: the one with the fewest threads. `exact`: it has as many
 * CPUs as `least`.
 */
function fitting(
  places: readonly number[],
  ids: readonly number[],
  least: number,
  exact: boolean,
): Topology | undefined {
  for (let threads = 1; threads <= least; threads++) {
    for (let cores = 1; cores <= Math.ceil(least / threads); cores++) {
      const sockets = Math.ceil(least / threads / cores);
      const most = sockets * threads * cores;
      if (exact && most !== least) continue;
      if (ids.every((id, i) => id === apicId(places[i]!, cores, threads))) return { most, sockets, cores, threads };
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
