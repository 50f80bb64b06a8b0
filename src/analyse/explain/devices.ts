/** The devices of a PC as options of -device, by their sections' names, ids and blocks. */
import type { DeviceState } from "../../codec/vmstate/index.js";
import {
  BUS_DEVICES,
  DEVICE_KINDS,
  OF_OTHERS,
  OF_PC,
  PATHLESS,
  ROM_VARIANTS,
  type DeviceKind,
} from "./device-table.js";
import { isUsbPort } from "./names.js";
import { isMultifunction, pciIdentity, pciPlace, slotAddress, type PciPlace } from "./pci.js";
import { Backends } from "./device-backends.js";
import { activePorts, idOf, kindOf, networkArguments, transportPlace } from "./device-places.js";
import { Topology } from "./device-topology.js";
import { PORTS, shownProperties } from "./properties.js";
import { hiddenBridges, monitors } from "./sectionless.js";
import type { Survey, SurveyedDevice } from "./survey.js";
import type { LikelyDevice } from "./types.js";

/** The devices of a file as options of a destination, bridges and controllers first. */
export interface Devices {
  likely: LikelyDevice[];
  /** Sections for which no option is known. */
  unnamed: string[];
  /** Backends that the devices need and the stream shows: -netdev, -object. */
  backends: string[];
  notes: string[];
}

/** What the devices of a file are. For PC machine types; on other machines devices keep the names of their sections. */
export function likelyDevices(survey: Survey): Devices {
  return new Namer(survey).all();
}

class Namer {
  private readonly likely: { device: LikelyDevice; depth: number }[] = [];
  private readonly unnamed: string[] = [];
  private readonly notes: string[] = [];
  private readonly extra: string[] = [];
  private readonly topology: Topology;
  private readonly backends: Backends;
  private chassis = 1;

  constructor(private readonly survey: Survey) {
    this.topology = new Topology(survey);
    this.backends = new Backends(survey, this.topology, this.notes);
  }

  all(): Devices {
    this.expanderBridges();
    for (const device of this.survey.devices) this.addDevice(device);
    this.hiddenPorts();
    for (const { section, card } of monitors(this.survey)) {
      const kind = DEVICE_KINDS.find(({ device }) => device === "ati-vga")!;
      if (card !== undefined) this.add(section, kind, card.path, this.options(kind, card, undefined), 1);
      else this.add(section, { name: section.name, device: "i2c-ddc" }, "", [], 9);
    }
    const networks = networkArguments(this.survey);
    if (networks.length > 0) this.notes.push('section "slirp": the source had a user network (-netdev user)');
    this.extra.unshift(...networks);
    // Sorting keeps the order of the stream among those of one depth.
    const likely = this.likely.toSorted((a, b) => a.depth - b.depth).map(({ device }) => device);
    return { likely, unnamed: this.unnamed, backends: this.extra, notes: this.notes };
  }

  private addDevice(device: SurveyedDevice): void {
    const { name, state } = device;
    if (OF_PC.has(name) || OF_OTHERS.has(name) || (name === "fdc" && !this.topology.q35)) return;
    if (name === "pflash_cfi01" && this.survey.blocks.has("system.flash0")) return;
    const place = pciPlace(name);
    const transport = transportPlace(name);
    if (transport !== undefined) {
      this.onTransport(device, transport);
      return;
    }
    if (place === undefined) {
      const kind = PATHLESS.find((one) => one.name === name);
      if (kind === undefined) this.unnamed.push(`${name}/${device.instance}`);
      else {
        const options = kind.options === undefined ? [] : [kind.options];
        const memory = this.backends.videoMemory(kind, "", state);
        this.add(device, kind, "", [...options, ...memory], kind.early === true ? -1 : 9);
      }
      return;
    }
    if (place.rest === "virtio-vga" || place.rest === "eeprom" || place.rest.endsWith("-device-early")) return;
    const depth = place.path.split(":").length - 3;
    if (place.rest.includes("/")) {
      this.onBus(device, place, depth + 4);
      return;
    }
    if (this.topology.isOwnBridge(place)) return;
    const kind = this.variantOf(kindOf(place.rest, state), place.path);
    if (kind === undefined) {
      this.unnamed.push(`${name}/${device.instance}`);
      return;
    }
    // A companion names the bus of its EHCI, which must be there before it.
    const companion = this.topology.companionOf(kind.device, place.path);
    const options = this.options(kind, place, state);
    if (companion !== undefined)
      options.push(`masterbus=${idOf(companion.path)}.0`, `firstport=${companion.firstPort}`);
    this.add(device, kind, place.path, options, companion === undefined ? depth : depth + 0.5);
    if (place.rest === "virtio-console") this.serialPorts(device, place.path, idOf(place.path), depth);
  }

  /**
   * Which of the devices that share a section's name it is: told by the block of its ROM (`PATH/DEVICE.rom`, 31
   * characters) or its EEPROM.
   */
  private variantOf(kind: DeviceKind | undefined, path: string): DeviceKind | undefined {
    if (kind?.device === "am53c974" && this.topology.has(`${path}/eeprom`)) return { ...kind, device: "dc390" };
    const named = this.topology.blocksOf(path).map((name) => name.replace(/\.r?o?m?$/u, ""));
    const device = kind?.rom === true ? named.find((one) => ROM_VARIANTS.has(one)) : undefined;
    return kind === undefined || device === undefined ? kind : { ...kind, device };
  }

  /** id, bus, addr, and properties that the device's state and blocks show. */
  private options(kind: DeviceKind, place: PciPlace, state: DeviceState | undefined): string[] {
    const options: string[] = [];
    const identity = pciIdentity(state);
    if (this.topology.needed(place.path)) options.push(`id=${idOf(place.path)}`);
    if (place.bridge !== undefined) options.push(`bus=${this.topology.busOf(place.bridge)}`);
    // A device without a bus may be put on an expander's.
    else if (this.topology.expanders.size > 0) options.push(`bus=${this.topology.rootBus}`);
    options.push(`addr=${place.addr}`);
    if (PORTS.has(kind.device) && kind.device !== "x3130-upstream") options.push(`chassis=${this.chassis++}`);
    options.push(...shownProperties(kind, state, this.topology.surroundings(place)));
    if (kind.options !== undefined) options.push(kind.options);
    if (identity === undefined ? this.topology.shared(place) : isMultifunction(identity))
      options.push("multifunction=on");
    for (const name of kind.canbus ?? []) {
      const id = `can${this.extra.length}`;
      this.extra.push("-object", `can-bus,id=${id}`);
      options.push(`${name}=${id}`);
    }
    options.push(...this.backends.videoMemory(kind, place.path, state));
    const blocks = this.topology.blocksOf(place.path);
    if (kind.rom === true && !blocks.some((name) => name.endsWith(".rom") || name === kind.device))
      options.push("romfile=");
    if (options.includes("free-page-hint=on")) {
      const id = `iothread${this.extra.length}`;
      this.extra.push("-object", `iothread,id=${id}`);
      options.push(`iothread=${id}`);
    }
    return options;
  }

  /**
   * PCI expander bridges have no section: each has a host bridge, and its address is part of the paths of the devices
   * behind it.
   */
  private expanderBridges(): void {
    const hosts = this.survey.devices.filter(({ name, instance }) => name === "PCIHost" && instance > 0);
    const kind: DeviceKind = { name: "PCIHost", device: this.topology.q35 ? "pxb-pcie" : "pxb" };
    const known = [...this.topology.expanders];
    for (const [i, host] of hosts.entries()) {
      const found = known[i];
      if (found === undefined) {
        this.notes.push(
          `PCIHost ${host.instance}: a PCI expander bridge with nothing behind it, whose address and bus number are not in the stream`,
        );
        this.add(host, kind, "", [`bus_nr=${0x80 + 8 * i}`], 8);
        continue;
      }
      const [bus, path] = found;
      const slot = path.split(":")[2] ?? "";
      this.add(
        host,
        kind,
        path,
        [`id=${idOf(path)}`, `bus_nr=${bus}`, `bus=${this.topology.rootBus}`, `addr=${slotAddress(slot)}`],
        0,
      );
    }
  }

  /** Root ports of CXL: they have no section, but their buses have one. */
  private hiddenPorts(): void {
    for (const { bus, path, addr } of hiddenBridges(this.survey)) {
      this.notes.push(
        `PCIBUS ${bus.instance}: the bus of a bridge that has no section, as the root ports of CXL${addr === undefined ? "; its address is not in the stream" : ""}`,
      );
      const place = path === undefined ? [] : [`id=${idOf(path)}`, `addr=${addr}`];
      this.add(bus, { name: "PCIBUS", device: "cxl-rp" }, path ?? "", [...place, `chassis=${this.chassis++}`], 0);
    }
  }

  /** `PATH/PORT/usb-...` and `PATH/CHANNEL:ID:LUN/scsi-disk`. */
  private onBus(device: SurveyedDevice, place: PciPlace, depth: number): void {
    const parts = place.rest.split("/");
    const kind = BUS_DEVICES.find((one) => one.name === parts.at(-1));
    const [first = "", second] = parts;
    const scsi = /^(\d+):(\d+):(\d+)$/u.exec(first);
    if (parts.length === 3) {
      // A disk of usb-storage comes with that device.
      if (!/^\d+:\d+:\d+$/u.test(second ?? "")) this.unnamed.push(`${device.name}/${device.instance}`);
    } else if (kind === undefined || parts.length > 3 || (scsi === null && !isUsbPort(first))) {
      this.unnamed.push(`${device.name}/${device.instance}`);
    } else if (scsi !== null) {
      const [, channel, id, lun] = scsi;
      this.add(
        device,
        kind,
        place.path,
        [`bus=${idOf(place.path)}.0`, `channel=${channel}`, `scsi-id=${id}`, `lun=${lun}`],
        depth,
      );
    } else {
      // A hub must come before the devices on it.
      const hubs = first.split(".").length / 16;
      this.add(device, kind, place.path, [`bus=${idOf(place.path)}.0`, `port=${first}`], depth + hubs);
    }
  }

  /** Devices of virtio-mmio, whose transports are the machine's. */
  private onTransport(device: SurveyedDevice, { number, rest }: { number: number; rest: string }): void {
    const kind = DEVICE_KINDS.find((one) => one.name === rest && one.device.startsWith("virtio-"));
    if (kind === undefined) {
      this.unnamed.push(`${device.name}/${device.instance}`);
      return;
    }
    const id = `mmio-${number}`;
    const serial = rest === "virtio-console";
    const options = [...(serial ? [`id=${id}`] : []), `bus=virtio-mmio-bus.${number}`];
    this.add(device, { ...kind, device: kind.device.replace(/-pci$/u, "-device") }, device.name, options, 0);
    if (serial) this.serialPorts(device, device.name, id, 0);
  }

  /** The ports of virtio-serial, which have no sections. */
  private serialPorts(device: SurveyedDevice, path: string, id: string, depth: number): void {
    for (const nr of activePorts(device.state)) {
      const kind: DeviceKind = {
        name: "virtio-console",
        device: nr === 0 ? "virtconsole" : "virtserialport",
        backend: "chardev",
      };
      if (nr !== 0) kind.also = ["virtconsole"];
      this.add(device, kind, `${path}, port ${nr}`, [`bus=${id}.0`, `nr=${nr}`], depth + 4);
    }
  }

  private add(device: SurveyedDevice, kind: DeviceKind, path: string, options: readonly string[], depth: number): void {
    const argument = [kind.device, ...options, ...this.backends.of(device, kind, path)].join(",");
    const { name: section, instance, offset } = device;
    this.likely.push({
      device: { section, instance, streamOffset: offset, place: path, argument, also: kind.also ?? [] },
      depth,
    });
  }
}
