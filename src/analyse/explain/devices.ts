import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
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
import { recordsBlock } from "./memory-arguments.js";
import { isId, isUsbPort } from "./names.js";
import { isMultifunction, pciIdentity, pciPlace, slotAddress, type PciPlace } from "./pci.js";
import { activePorts, companionOf, expanderPath, idOf, isMasterOf, kindOf, transportPlace } from "./device-places.js";
import { PORTS, shownProperties } from "./properties.js";
import { hiddenBridges, monitors } from "./sectionless.js";
import { findRecord, type Surroundings } from "./state-fields.js";
import type { Survey, SurveyedDevice } from "./survey.js";
import type { LikelyDevice } from "./types.js";

/** The devices of a file as options of a destination, bridges and controllers first. */
export interface Devices {
  likely: LikelyDevice[];
  /** Sections with no option known. */
  unnamed: string[];
  /** Backends that the devices need and the stream shows: -netdev, -object. */
  backends: string[];
  notes: string[];
}

/**
 * What the devices of a file are, by their sections' names, ids and blocks. For PC machine types; others keep their
 * sections' names.
 */
export function likelyDevices(survey: Survey): Devices {
  return new Namer(survey).all();
}

class Namer {
  private readonly likely: { device: LikelyDevice; depth: number }[] = [];
  private readonly unnamed: string[] = [];
  private readonly notes: string[] = [];
  private readonly extra: string[] = [];
  /** Whether it is a Q35: its expander bridges are of another kind, and it has no floppy controller of itself. */
  private readonly q35: boolean;
  private readonly release: number | undefined;
  private readonly paths: Set<string>;
  /** Paths of the devices that are ports of PCI Express. */
  private readonly ports = new Set<string>();
  private readonly expanders: ReadonlyMap<number, string>;
  /** Backends of the user's own that were asked for, by kind. */
  private readonly backends = new Map<string, number>();

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

  all(): Devices {
    this.expanderBridges();
    for (const device of this.survey.devices) this.addDevice(device);
    this.hiddenPorts();
    for (const { section, card } of monitors(this.survey)) {
      const kind = DEVICE_KINDS.find(({ device }) => device === "ati-vga")!;
      if (card !== undefined) this.add(section, kind, card.path, this.options(kind, card, undefined), 1);
      else this.add(section, { name: section.name, device: "i2c-ddc" }, "", [], 9);
    }
    if (this.survey.devices.some(({ name }) => name === "slirp")) {
      this.notes.push('section "slirp": the source had a user network (-netdev user)');
      this.extra.unshift("-netdev", "user,id=net0");
    }
    // Sorting keeps the order of the stream among those of one depth.
    const likely = this.likely.toSorted((a, b) => a.depth - b.depth).map(({ device }) => device);
    return { likely, unnamed: this.unnamed, backends: this.extra, notes: this.notes };
  }

  private addDevice(device: SurveyedDevice): void {
    const { name, state } = device;
    if (OF_PC.has(name) || OF_OTHERS.has(name) || (name === "fdc" && !this.q35)) return;
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
        const memory = this.videoMemory(kind, "", state);
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
    if (this.isOwnBridge(place)) return;
    const kind = this.variantOf(kindOf(place.rest, state), place.path);
    if (kind === undefined) {
      this.unnamed.push(`${name}/${device.instance}`);
      return;
    }
    // A companion names the bus of its EHCI, which must be there before it.
    const companion = companionOf(kind.device, place, this.survey);
    const options = this.options(kind, place, state);
    if (companion !== undefined)
      options.push(`masterbus=${idOf(companion.path)}.0`, `firstport=${companion.firstPort}`);
    this.add(device, kind, place.path, options, companion === undefined ? depth : depth + 0.5);
    if (place.rest === "virtio-console") this.serialPorts(device, place.path, idOf(place.path), depth);
  }

  /**
   * The device among those that share a section's name which the block of its ROM (`PATH/DEVICE.rom`, 31 characters) or
   * its EEPROM tells.
   */
  private variantOf(kind: DeviceKind | undefined, path: string): DeviceKind | undefined {
    if (kind?.device === "am53c974" && this.survey.devices.some(({ name }) => name === `${path}/eeprom`))
      return { ...kind, device: "dc390" };
    const named = [...this.survey.blocks.keys()].flatMap((name) =>
      name.startsWith(`${path}/`) ? [name.slice(path.length + 1).replace(/\.r?o?m?$/u, "")] : [],
    );
    const device = kind?.rom === true ? named.find((one) => ROM_VARIANTS.has(one)) : undefined;
    return kind === undefined || device === undefined ? kind : { ...kind, device };
  }

  /** id, bus, addr, and what the state and the blocks of the file say. */
  private options(kind: DeviceKind, place: PciPlace, state: DeviceState | undefined): string[] {
    const options: string[] = [];
    const identity = pciIdentity(state);
    if (this.needed(place.path)) options.push(`id=${idOf(place.path)}`);
    if (place.bridge !== undefined) options.push(`bus=${this.busOf(place.bridge)}`);
    // A device without a bus may be put on an expander's.
    else if (this.expanders.size > 0) options.push(`bus=${this.rootBus}`);
    options.push(`addr=${place.addr}`);
    if (PORTS.has(kind.device) && kind.device !== "x3130-upstream") options.push(`chassis=${this.chassis++}`);
    options.push(...shownProperties(kind, state, this.surroundings(place)));
    if (kind.options !== undefined) options.push(kind.options);
    if (identity === undefined ? this.shared(place) : isMultifunction(identity)) options.push("multifunction=on");
    for (const name of kind.canbus ?? []) {
      const id = `can${this.extra.length}`;
      this.extra.push("-object", `can-bus,id=${id}`);
      options.push(`${name}=${id}`);
    }
    options.push(...this.videoMemory(kind, place.path, state));
    const blocks = [...this.survey.blocks.keys()].filter((name) => name.startsWith(`${place.path}/`));
    if (kind.rom === true && !blocks.some((name) => name.endsWith(".rom") || name.endsWith(`/${kind.device}`)))
      options.push("romfile=");
    if (options.includes("free-page-hint=on")) {
      const id = `iothread${this.extra.length}`;
      this.extra.push("-object", `iothread,id=${id}`);
      options.push(`iothread=${id}`);
    }
    return options;
  }

  private surroundings({ path, bridge, rest }: PciPlace): Surroundings {
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

  /** @param path empty: a device without one, whose block has none either */
  private videoMemory(kind: DeviceKind, path: string, state: DeviceState | undefined): string[] {
    const { blocks } = this.survey;
    if (kind.name === "qxl") return this.qxlMemory(path);
    const memory =
      kind.vgamem === undefined ? undefined : blocks.get(path === "" ? kind.vgamem : `${path}/${kind.vgamem}`);
    if (memory === undefined) return [];
    if (kind.device === "bochs-display") return [`vgamem=${memory.length}`];
    const registers = kind.name === "vga" ? pciIdentity(state)?.registers : undefined;
    // Revision 2 has the registers of its own in BAR 2; machine types up to 2.1 are without. QEMU hw/display/vga-pci.c
    // (5.2 to 11.1).
    const plain = registers?.["revision"] === 0 && (this.release ?? 0) >= 300;
    const without = registers?.["bar2"] === 0 && kind.device === "VGA" ? "mmio=off" : "qemu-extended-regs=off";
    return [`vgamem_mb=${memory.length / 1048576}`, ...(plain ? [without] : [])];
  }

  /** QXL's two memories; what of the first is its frame buffer (vgamem_mb) is not in the stream. */
  private qxlMemory(path: string): string[] {
    return (["ram_size_mb", "vram_size_mb"] as const).flatMap((option, i) => {
      const block = this.survey.blocks.get(`${path}/${i === 0 ? "qxl.vgavram" : "qxl.vram"}`);
      return block === undefined ? [] : [`${option}=${block.length / 1048576}`];
    });
  }

  private chassis = 1;
  /** Management controllers (BMC) so far, and interfaces to them. */
  private controllers = 0;
  private interfaces = 0;

  /**
   * PCI expander bridges have no section: each has a host bridge, and their addresses are in the paths of what is
   * behind them.
   */
  private expanderBridges(): void {
    const hosts = this.survey.devices.filter(({ name, instance }) => name === "PCIHost" && instance > 0);
    const kind: DeviceKind = { name: "PCIHost", device: this.q35 ? "pxb-pcie" : "pxb" };
    const known = [...this.expanders];
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
        [`id=${idOf(path)}`, `bus_nr=${bus}`, `bus=${this.rootBus}`, `addr=${slotAddress(slot)}`],
        0,
      );
    }
  }

  /** Root ports of CXL, which have no section: their buses have. */
  private hiddenPorts(): void {
    for (const { instance, path, addr } of hiddenBridges(this.survey)) {
      const bus = this.survey.devices.find((one) => one.name === "PCIBUS" && one.instance === instance)!;
      this.notes.push(
        `PCIBUS ${instance}: the bus of a bridge that has no section, as the root ports of CXL${addr === undefined ? "; its address is not in the stream" : ""}`,
      );
      const place = path === undefined ? [] : [`id=${idOf(path)}`, `addr=${addr}`];
      this.add(bus, { name: "PCIBUS", device: "cxl-rp" }, path ?? "", [...place, `chassis=${this.chassis++}`], 0);
    }
  }

  private get rootBus(): string {
    return this.q35 ? "pcie.0" : "pci.0";
  }

  /** The bridge that a pxb (of conventional PCI) has of itself, whose bus has the pxb's id. */
  private isOwnBridge({ bus, bridge, rest }: PciPlace): boolean {
    return bus !== 0 && !this.q35 && rest === "pci_bridge" && bridge === this.expanders.get(bus);
  }

  /** The id of a bridge's bus. */
  private busOf(bridge: string): string {
    const expander = this.expanders.get(Number.parseInt(bridge.split(":")[1] ?? "", 16));
    return idOf(expander !== undefined && !this.q35 && bridge === `${expander}:00.0` ? expander : bridge);
  }

  /** Whether other sections are behind this one. */
  private needed(path: string): boolean {
    for (const other of this.paths) if (other.startsWith(`${path}:`)) return true;
    return this.survey.devices.some(({ name, state }) => {
      const place = pciPlace(name);
      if (place?.path !== path) return place !== undefined && isMasterOf(path, place, state, this.survey);
      return place.rest.includes("/") || place.rest === "virtio-console";
    });
  }

  /** Function 0 of a slot with other functions. */
  private shared(place: PciPlace): boolean {
    if (!place.path.endsWith(".0")) return false;
    const slot = place.path.slice(0, -1);
    return [...this.paths].some(
      (other) => other !== place.path && other.startsWith(slot) && other.length === place.path.length,
    );
  }

  /** `PATH/PORT/usb-...` and `PATH/CHANNEL:ID:LUN/scsi-disk`. */
  private onBus(device: SurveyedDevice, place: PciPlace, depth: number): void {
    const parts = place.rest.split("/");
    const kind = BUS_DEVICES.find((one) => one.name === parts.at(-1));
    const [first = "", second] = parts;
    const scsi = /^(\d+):(\d+):(\d+)$/u.exec(first);
    if (parts.length === 3) {
      // A disk behind usb-storage is that device's own.
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
      // A hub is there before what is behind it.
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

  /** The ports of virtio-serial, which have no section of their own. */
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
    const own = kind.backend === undefined ? [] : [this.memoryOf(kind, path) ?? this.backend(kind.backend)];
    const network = kind.network === true ? this.network(device) : undefined;
    if (network !== undefined) own.push(`netdev=${network}`);
    // Each has an interface of its own, in the same order.
    if (kind.device === "ipmi-bmc-sim") own.push(`id=bmc${this.controllers++}`);
    const argument = [kind.device, ...options, ...own].join(",");
    const { name: section, instance, offset } = device;
    this.likely.push({ device: { section, instance, offset, path, argument, also: kind.also ?? [] }, depth });
  }

  /** A memory backend whose block is named by the device's path and the backend's id. */
  private memoryOf(kind: DeviceKind, path: string): string | undefined {
    const { backend } = kind;
    const records = kind.name === "acpi-erst" ? recordsBlock(this.survey) : undefined;
    if (records !== undefined) return `memdev=${records[0]}`;
    const name = [...this.survey.blocks.keys()].find((block) => block.startsWith(`${path}/`));
    const id = name?.slice(path.length + 1);
    return backend === "memdev" && kind.name !== "acpi-erst" && id !== undefined && isId(id)
      ? `memdev=${id}`
      : undefined;
  }

  private networkTaken = false;

  /**
   * What a network device is connected to: a backend with offloads, where a virtio-net's state says that it had one
   * (`has_vnet_hdr`); else the user network for the first, where the source had one.
   */
  private network({ name, state }: SurveyedDevice): string | undefined {
    if (state !== undefined && findRecord(state, "has_vnet_hdr") === 1) {
      const [, given = ""] = this.backend("netdev").split("=");
      this.notes.push(
        `${name}: its network backend has offloads (vnet_hdr): ${given} stands for one that has them, as -netdev tap`,
      );
      return given;
    }
    if (this.networkTaken || !this.survey.devices.some((one) => one.name === "slirp")) return undefined;
    this.networkTaken = true;
    return "net0";
  }

  /** `drive=DRIVE0`: a name that stands for what the user has. */
  private backend(kind: NonNullable<DeviceKind["backend"]>): string {
    const n = this.backends.get(kind) ?? 0;
    // The sensor of a system interface is a device of its own, which the stream has too.
    if (kind === "bmc") return `bmc=bmc${this.interfaces++}`;
    this.backends.set(kind, n + 1);
    return `${kind}=${kind === "chardev1" ? "CHARDEV1" : kind.toUpperCase()}${n}`;
  }
}
