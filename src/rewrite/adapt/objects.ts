import { textOf, type Json, type JsonObject } from "../../io/transport/qmp.js";

/** A monitor: `QmpClient`, or anything that runs commands. */
export interface Monitor {
  execute(command: string, args?: JsonObject): Promise<Json>;
}

/** An object of a machine. */
export interface MachineObject {
  /** Its path in QOM: `/machine/peripheral/net0`. */
  path: string;
  type: string;
}

/** Objects of a machine that are looked at. */
const MOST_OBJECTS = 20_000;

/** All objects of a machine, but for its memory regions and interrupt lines. */
export async function machineObjects(qmp: Monitor): Promise<MachineObject[]> {
  const found: MachineObject[] = [];
  const open = ["/machine", "/objects"];
  for (let path = open.pop(), seen = 0; path !== undefined && seen < MOST_OBJECTS; path = open.pop(), seen++) {
    const list = await quiet(qmp, "qom-list", { path });
    if (!Array.isArray(list)) continue;
    for (const entry of list as { name?: Json; type?: Json }[]) {
      const type = /^child<(.+)>$/u.exec(textOf(entry.type))?.[1];
      if (type === undefined || type === "memory-region" || type === "irq") continue;
      const child = `${path}/${textOf(entry.name)}`;
      found.push({ path: child, type });
      open.push(child);
    }
  }
  return found;
}

/** Undefined where this QEMU knows no such command, path or property. */
export async function quiet(qmp: Monitor, command: string, args: JsonObject): Promise<Json | undefined> {
  try {
    return await qmp.execute(command, args);
  } catch {
    return undefined;
  }
}

/** A PCI device of a machine. */
export interface PlacedDevice {
  /** As sections name it: `0000:00:03.0`, after a bridge `0000:00:02.0:00.0`. */
  place: string;
  /** Its type, which `-global` takes. */
  type: string;
  /** The id that its command line gives it; undefined: none. */
  id: string | undefined;
}

/** The PCI devices among the objects of a machine. Source: hw/pci/pci.c `pcibus_get_dev_path` (5.2 to 11.1). */
export async function placedDevices(qmp: Monitor, objects: readonly MachineObject[]): Promise<PlacedDevice[]> {
  const devices = new Map<string, { addr: number; bus: string; type: string }>();
  for (const { path, type } of objects) {
    const addr = await quiet(qmp, "qom-get", { path, property: "addr" });
    const bus = await quiet(qmp, "qom-get", { path, property: "parent_bus" });
    if (typeof addr === "number" && addr >= 0 && addr < 256 && typeof bus === "string" && bus !== "") {
      devices.set(path, { addr, bus, type });
    }
  }
  const placeOf = (path: string, depth: number): string => {
    const { addr, bus } = devices.get(path)!;
    const bridge = bus.slice(0, bus.lastIndexOf("/"));
    const before = devices.has(bridge) && depth < MOST_BRIDGES ? placeOf(bridge, depth + 1) : "0000:00";
    return `${before}:${(addr >> 3).toString(16).padStart(2, "0")}.${addr & 7}`;
  };
  return [...devices].map(([path, { type }]) => ({
    place: placeOf(path, 0),
    type,
    id: /^\/machine\/peripheral\/([^/]+)$/u.exec(path)?.[1],
  }));
}

/** Bridges that a device is after: buses have 256 numbers. */
const MOST_BRIDGES = 256;
