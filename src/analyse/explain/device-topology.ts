/** Where the devices of a PC are: PCI paths, bridges and ports, and the ids that the proposed options give them. */
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { expanderPath, idOf, isMasterOf, kindOf } from "./device-places.js";
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

  constructor(private readonly survey: Survey) {
    const places = survey.devices.flatMap(({ name }) => pciPlace(name) ?? []);
    this.paths = new Set(places.map(({ path }) => path));
    this.q35 = survey.devices.some(({ name }) => name.endsWith("/mch"));
    this.release = releaseNumber(machineRelease(survey.configuration?.value.machine));
    this.expanders = new Map(
      places.flatMap(({ bus, path }) => (bus === 0 ? [] : [[bus, expanderPath(path)] as const])),
    );
    for (const { name, state } of survey.devices) {
      const place = pciPlace(name);
      const kind = place === undefined || place.rest.includes("/") ? undefined : kindOf(place.rest, state);
      if (kind !== undefined && PORTS.has(kind.device)) this.ports.add(place!.path);
    }
  }

  get rootBus(): string {
    return this.q35 ? "pcie.0" : "pci.0";
  }

  surroundings({ path, bridge, rest }: PciPlace): Surroundings {
    const own = this.survey.devices.flatMap(({ name }) => {
      const place = rest === "xhci" ? pciPlace(name) : undefined;
      const port = place?.path === path ? /^(\d+)[./]/u.exec(place.rest)?.[1] : undefined;
      return port === undefined ? [] : [Number(port)];
    });
    return {
      behindPort: bridge !== undefined && this.ports.has(bridge),
      release: this.release,
      highestPort: own.reduce((most, port) => Math.max(most, port), 0),
    };
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
    for (const other of this.paths) if (other.startsWith(`${path}:`)) return true;
    return this.survey.devices.some(({ name, state }) => {
      const place = pciPlace(name);
      if (place?.path !== path) return place !== undefined && isMasterOf(path, place, state, this.survey);
      return place.rest.includes("/") || place.rest === "virtio-console";
    });
  }

  /** Function 0 of a slot with other functions. */
  shared(place: PciPlace): boolean {
    if (!place.path.endsWith(".0")) return false;
    const slot = place.path.slice(0, -1);
    return [...this.paths].some(
      (other) => other !== place.path && other.startsWith(slot) && other.length === place.path.length,
    );
  }
}
