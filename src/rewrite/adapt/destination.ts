import type { Json, JsonObject } from "../../io/transport/qmp.js";
import { textOf } from "../../io/transport/qmp.js";
import { machineRelease } from "../../guest/machines/index.js";
import { propertiesBetween, type Property } from "./properties.js";

/** A monitor: `QmpClient`, or anything that runs commands. */
export interface Monitor {
  execute(command: string, args?: JsonObject): Promise<Json>;
}

/** What the destination's QEMU is, by what it says itself. */
export interface DestinationFacts {
  /** Full name of its machine type. */
  machine: string;
  /** Its own release: `11.1`. */
  release: string;
  /** Properties that the guest's old machine type set, that this QEMU still has and holds another value of. */
  properties: Property[];
}

/**
 * Asks a QEMU what it has, and which properties its devices need to be those of the old machine type. Errors: io.
 * @param old machine type of the old stream; undefined: nothing is asked for
 */
export async function askDestination(qmp: Monitor, old: string | undefined): Promise<DestinationFacts> {
  const version = (await qmp.execute("query-version")) as { qemu?: { major?: number; minor?: number } };
  const release = `${version.qemu?.major ?? 0}.${version.qemu?.minor ?? 0}`;
  const machine = textOf(await qmp.execute("qom-get", { path: "/machine", property: "type" })).replace(
    /-machine$/u,
    "",
  );
  const from = machineRelease(old);
  if (from === undefined) return { machine, release, properties: [] };
  const wanted = propertiesBetween(from, machineRelease(machine));
  return { machine, release, properties: await missing(qmp, wanted) };
}

/** Those of the properties that a device of this QEMU has with another value. */
async function missing(qmp: Monitor, wanted: readonly Property[]): Promise<Property[]> {
  const objects = await objectsByType(qmp);
  const implementing = new Map<string, string[]>();
  const found: Property[] = [];
  for (const one of wanted) {
    if (UNUSABLE.has(one.property)) continue;
    let types = implementing.get(one.driver);
    if (types === undefined) {
      const list = await quiet(qmp, "qom-list-types", { implements: one.driver, abstract: false });
      types = [one.driver, ...namesOf(list)].filter((type) => objects.has(type));
      implementing.set(one.driver, types);
    }
    const differing: string[] = [];
    for (const type of new Set(types)) {
      const value = await quiet(qmp, "qom-get", { path: objects.get(type)!, property: one.property });
      if (value !== undefined && !sameValue(value, one.value)) differing.push(type);
    }
    if (differing.length === 0) continue;
    // Not all that are of the abstract type have these.
    if (one.property.startsWith("disable-")) {
      for (const driver of differing) found.push({ ...one, driver });
    } else found.push(one);
  }
  return found;
}

/**
 * Properties that are left as they are: newer QEMUs do not start without `dma_enabled` of fw_cfg (hw/i386/fw_cfg.c,
 * 11.1), and `-global isa-fdc.` takes the default floppy drive away (system/vl.c, 11.1).
 */
const UNUSABLE: ReadonlySet<string> = new Set(["dma_enabled", "fallback"]);

/** The path of one object of each type that the machine has: `-global` sets a property of all of them. */
async function objectsByType(qmp: Monitor): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const open = ["/machine", "/objects"];
  for (let path = open.pop(), seen = 0; path !== undefined && seen < MOST_OBJECTS; path = open.pop(), seen++) {
    const list = await quiet(qmp, "qom-list", { path });
    if (!Array.isArray(list)) continue;
    for (const entry of list as { name?: Json; type?: Json }[]) {
      const type = /^child<(.+)>$/u.exec(textOf(entry.type))?.[1];
      if (type === undefined || type === "memory-region" || type === "irq") continue;
      const child = `${path}/${textOf(entry.name)}`;
      found.set(type, child);
      open.push(child);
    }
  }
  return found;
}

/** Objects of a machine that are looked at. */
const MOST_OBJECTS = 20_000;

function namesOf(list: Json | undefined): string[] {
  return Array.isArray(list) ? list.map((one: Json) => textOf((one as JsonObject)["name"])) : [];
}

/** Whether a property holds what a text would set it to: `off` is false, `0x10` is 16. */
function sameValue(value: Json, text: string): boolean {
  if (typeof value === "boolean") return value === /^(?:on|true|yes)$/u.test(text);
  if (typeof value === "number") return value === Number(text);
  return value === text;
}

/** Undefined where this QEMU knows no such command, path or property. */
async function quiet(qmp: Monitor, command: string, args: JsonObject): Promise<Json | undefined> {
  try {
    return await qmp.execute(command, args);
  } catch {
    return undefined;
  }
}
