import type { Json, JsonObject } from "../../io/transport/qmp.js";
import { textOf } from "../../io/transport/qmp.js";
import { machineRelease } from "../../guest/machines/index.js";
import {
  machineObjects,
  placedDevices,
  quiet,
  type MachineObject,
  type Monitor,
  type PlacedDevice,
} from "./objects.js";
import { propertiesBetween, type Property } from "./properties.js";

/** What the destination's QEMU is, by what it says itself. */
interface DestinationFacts {
  /** Full name of its machine type. */
  machine: string;
  /** Its own release: `11.1`. */
  release: string;
  /** Properties that the guest's old machine type set, that this QEMU still has and holds another value of. */
  properties: Property[];
  /** Its PCI devices. */
  devices: PlacedDevice[];
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
  const all = await machineObjects(qmp);
  const devices = await placedDevices(qmp, all);
  const from = machineRelease(old);
  if (from === undefined) return { machine, release, properties: [], devices };
  const wanted = propertiesBetween(from, machineRelease(machine));
  return { machine, release, properties: await missing(qmp, wanted, all), devices };
}

/** Those of the properties that a device of this QEMU has with another value. */
async function missing(qmp: Monitor, wanted: readonly Property[], all: readonly MachineObject[]): Promise<Property[]> {
  // One object of each type: -global sets a property of all of them.
  const objects = new Map(all.map(({ path, type }) => [type, path]));
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

function namesOf(list: Json | undefined): string[] {
  return Array.isArray(list) ? list.map((one: Json) => textOf((one as JsonObject)["name"])) : [];
}

/** Whether a property holds what a text would set it to: `off` is false, `0x10` is 16. */
function sameValue(value: Json, text: string): boolean {
  if (typeof value === "boolean") return value === /^(?:on|true|yes)$/u.test(text);
  if (typeof value === "number") return value === Number(text);
  return value === text;
}
