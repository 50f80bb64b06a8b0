/** Where the devices of a PC are: PCI paths, bridges and ports, and the ids that the proposed options give them. */
import { isEarlySection } from "../../codec/stream/early.js";
import type { DeviceState } from "../../codec/vmstate/index.js";
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { expanderPath, FIRST_PORTS, idOf, kindOf } from "./device-places.js";
import { pciPlace, type PciPlace } from "./pci.js";
import { PORTS } from "./properties.js";
import type { Surroundings } from "./state-fields.js";
import type { Survey } from "./survey.js";

export class Topology {
  /** Whether it is a Q35: its expander bridges are of another kind, and its floppy controller is an added device. */
  readonly q35: boolean;
  readonly release: number | undefined;
  /** Paths of the expander bridges by the number of their bus. */
  readonly expanders: ReadonlyMap<number, string>;
  private readonly paths: ReadonlySet<string>;
  /** Paths of the devices that are ports of PCI Express. */
  private readonly ports = new Set<string>();
  /** Paths of the devices that other options refer to. */
  private readonly named = new Set<string>();
  /** Functions in a slot, by their path without the function. */
  private readonly slots = new Map<string, number>();
  /** EHCI controllers by their slot. */
  private readonly ehci = new Map<string, string>();
  /** Paths with something else than a USB 1 controller at it. */
  private readonly busy = new Set<string>();
  /** The highest port of a USB 3 controller with a device, by its path. */
  private readonly highest = new Map<string, number>();
  /** Names of the RAM blocks of a device, after its path. */
  private readonly memory = new Map<string, string[]>();

  /** What devices save before the pages, by path. */
  private readonly early = new Map<string, DeviceState>();

  private readonly sections: ReadonlySet<string>;

  constructor(survey: Survey) {
    this.sections = new Set(survey.devices.map(({ name }) => name));
    const places = survey.devices.flatMap(({ name }) => pciPlace(name) ?? []);
    this.paths = new Set(places.map(({ path }) => path));
    this.q35 = survey.devices.some(({ name }) => name.endsWith("/mch"));
    this.release = releaseNumber(machineRelease(survey.configuration?.value.machine));
    this.expanders = new Map(
      places.flatMap(({ bus, path }) => (bus === 0 ? [] : [[bus, expanderPath(path)] as const])),
    );
    for (const place of places) this.note(place);
    for (const path of this.paths) {
      count(this.slots, slotOf(path));
      const parts = path.split(":");
      for (let k = 3; k < parts.length; k++) this.named.add(parts.slice(0, k).join(":"));
    }
    for (const { name, state } of survey.devices) {
      const place = pciPlace(name);
      if (place !== undefined && state !== undefined && isEarlySection(name)) this.early.set(place.path, state);
      const kind = place === undefined || place.rest.includes("/") ? undefined : kindOf(place.rest, state);
      if (kind === undefined) continue;
      if (PORTS.has(kind.device)) this.ports.add(place!.path);
      const master = this.companionOf(kind.device, place!.path)?.path;
      if (master !== undefined) this.named.add(master);
    }
    for (const name of survey.blocks.keys()) {
      const end = name.indexOf("/");
      if (end < 0) continue;
      const path = name.slice(0, end);
      this.memory.set(path, this.memory.get(path) ?? []);
      this.memory.get(path)!.push(name.slice(end + 1));
    }
  }

  private note({ path, rest }: PciPlace): void {
    const port = /^(\d+)[./]/u.exec(rest)?.[1];
    if (port !== undefined) this.highest.set(path, Math.max(Number(port), this.highest.get(path) ?? 0));
    if (rest.includes("/") || rest === "virtio-console") this.named.add(path);
    if (rest === "ehci" && !this.ehci.has(slotOf(path))) this.ehci.set(slotOf(path), path);
    if (!/(?:^|\/)uhci$/u.test(rest)) this.busy.add(path);
  }

  get rootBus(): string {
    return this.q35 ? "pcie.0" : "pci.0";
  }

  surroundings({ path, bridge }: PciPlace): Surroundings {
    return {
      behindPort: bridge !== undefined && this.ports.has(bridge),
      release: this.release,
      highestPort: this.highest.get(path) ?? 0,
      early: this.early.get(path),
    };
  }

  /** Whether there is a section of this name. */
  has(section: string): boolean {
    return this.sections.has(section);
  }

  /** Names of the RAM blocks of the device at a path, without the path. */
  blocksOf(path: string): readonly string[] {
    return this.memory.get(path) ?? [];
  }

  /**
   * The EHCI controller in the same slot, whose companion a USB 1 controller is: what is plugged in is named by the EHCI
   * then, so one that has devices in its own name is none.
   */
  companionOf(device: string, path: string): { path: string; firstPort: number } | undefined {
    const firstPort = FIRST_PORTS[device];
    const master = this.ehci.get(slotOf(path));
    return firstPort === undefined || master === undefined || this.busy.has(path)
      ? undefined
      : { path: master, firstPort };
  }

  /** The bridge that comes with a pxb (conventional PCI); its bus has the pxb's id. */
  isOwnBridge({ bus, bridge, rest }: PciPlace): boolean {
    return bus !== 0 && !this.q35 && rest === "pci_bridge" && bridge === this.expanders.get(bus);
  }

  /** The id of a bridge's bus. */
  busOf(bridge: string): string {
    const expander = this.expanders.get(Number.parseInt(bridge.split(":")[1] ?? "", 16));
    return idOf(expander !== undefined && !this.q35 && bridge === `${expander}:00.0` ? expander : bridge);
  }

  /** Whether other options refer to the device at this path, so that it needs an id. */
  needed(path: string): boolean {
    return this.named.has(path);
  }

  /** Function 0 of a slot with other functions. */
  shared({ path }: PciPlace): boolean {
    return path.endsWith(".0") && (this.slots.get(slotOf(path)) ?? 0) > 1;
  }
}

/** A path without the function. */
function slotOf(path: string): string {
  return path.slice(0, -1);
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
