import { isRecordValue, type DeviceState } from "../vmstate/index.js";
import { BUS_DEVICES, DEVICE_KINDS, OF_PC, PATHLESS, type DeviceKind } from "./device-table.js";
import { pciIdentity, pciPlace, type PciPlace } from "./pci.js";
import { findRecord, shownProperties, SLOTTED } from "./properties.js";
import type { Survey, SurveyedDevice } from "./survey.js";
import type { LikelyDevice } from "./types.js";

/** The devices of a file as options of a destination, bridges and controllers first. */
export interface Devices {
  likely: LikelyDevice[];
  /** Sections with no option known. */
  unnamed: string[];
  notes: string[];
}

/** What the devices of a file are, by their sections' names, ids and blocks. For PC machine types; others keep their sections' names. */
export function likelyDevices(survey: Survey): Devices {
  return new Namer(survey).all();
}

class Namer {
  private readonly likely: { device: LikelyDevice; depth: number }[] = [];
  private readonly unnamed: string[] = [];
  private readonly notes: string[] = [];
  private readonly paths: Set<string>;
  /** Backends of the user's own that were asked for, by kind. */
  private readonly backends = new Map<string, number>();

  constructor(private readonly survey: Survey) {
    this.paths = new Set(survey.devices.flatMap(({ name }) => pciPlace(name)?.path ?? []));
  }

  all(): Devices {
    for (const device of this.survey.devices) this.one(device);
    if (this.survey.devices.some(({ name }) => name === "slirp")) {
      this.notes.push('section "slirp": the source had a user network (-netdev user)');
    }
    // Sorting keeps the order of the stream among those of one depth.
    const likely = this.likely.toSorted((a, b) => a.depth - b.depth).map(({ device }) => device);
    return { likely, unnamed: this.unnamed, notes: this.notes };
  }

  private one(device: SurveyedDevice): void {
    const { name, state } = device;
    if (OF_PC.has(name) || name === "slirp" || name === "eeprom" || (name === "fdc" && this.hasFloppy)) return;
    const place = pciPlace(name);
    if (place === undefined) {
      const kind = PATHLESS.find((one) => one.name === name);
      if (kind === undefined) this.unnamed.push(`${name}/${device.instance}`);
      else this.add(device, kind, "", [], 9);
      return;
    }
    if (place.rest === "virtio-vga" || place.rest === "eeprom" || place.rest.endsWith("-device-early")) return;
    const depth = place.path.split(":").length - 3;
    if (place.rest.includes("/")) {
      this.onBus(device, place, depth + 4);
      return;
    }
    const kind = kindOf(place.rest, state);
    if (kind === undefined || place.bus !== 0) {
      if (kind !== undefined)
        this.notes.push(`${name} is behind a PCI expander bridge (pxb, pxb-pcie) with bus_nr=${place.bus}`);
      this.unnamed.push(`${name}/${device.instance}`);
      return;
    }
    this.add(device, kind, place.path, this.options(kind, place, state), depth);
    this.ports(device, place, depth);
  }

  /** id, bus, addr, and what the blocks of the file say of its memory. */
  private options(kind: DeviceKind, place: PciPlace, state: DeviceState | undefined): string[] {
    const { blocks } = this.survey;
    const options: string[] = [];
    if (this.needed(place.path)) options.push(`id=${idOf(place.path)}`);
    if (place.bridge !== undefined) options.push(`bus=${idOf(place.bridge)}`);
    options.push(`addr=${place.addr}`);
    if (SLOTTED.has(kind.device)) options.push(`chassis=${this.chassis++}`);
    options.push(...shownProperties(kind, state));
    if (kind.options !== undefined) options.push(kind.options);
    if (this.shared(place)) options.push("multifunction=on");
    const memory = kind.vgamem === undefined ? undefined : blocks.get(`${place.path}/${kind.vgamem}`);
    if (kind.name === "qxl") options.push(...this.qxlMemory(place.path));
    if (memory !== undefined && kind.device === "bochs-display") options.push(`vgamem=${memory.length}`);
    else if (memory !== undefined) options.push(`vgamem_mb=${memory.length / 1048576}`);
    if (
      kind.rom === true &&
      ![...blocks.keys()].some((name) => name.startsWith(`${place.path}/`) && name.endsWith(".rom"))
    ) {
      options.push("romfile=");
    }
    return options;
  }

  /** QXL's two memories; what of the first is its frame buffer (vgamem_mb) is not in the stream. */
  private qxlMemory(path: string): string[] {
    return (["ram_size_mb", "vram_size_mb"] as const).flatMap((option, i) => {
      const block = this.survey.blocks.get(`${path}/${i === 0 ? "qxl.vgavram" : "qxl.vram"}`);
      return block === undefined ? [] : [`${option}=${block.length / 1048576}`];
    });
  }

  private chassis = 1;

  /** i440fx and ISA machines have their floppy controller of themselves; q35 has none. */
  private get hasFloppy(): boolean {
    return !this.survey.devices.some(({ name }) => name.endsWith("/mch"));
  }

  /** Whether other sections stand behind this one. */
  private needed(path: string): boolean {
    for (const other of this.paths) if (other.startsWith(`${path}:`)) return true;
    return this.survey.devices.some(({ name }) => {
      const place = pciPlace(name);
      return place?.path === path && (place.rest.includes("/") || place.rest === "virtio-console");
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

  /** `PATH/PORT/usb-…` and `PATH/CHANNEL:ID:LUN/scsi-disk`. */
  private onBus(device: SurveyedDevice, place: PciPlace, depth: number): void {
    const parts = place.rest.split("/");
    const kind = BUS_DEVICES.find((one) => one.name === parts.at(-1));
    const [first = "", second] = parts;
    const scsi = /^(\d+):(\d+):(\d+)$/u.exec(first);
    if (kind === undefined || parts.length > 3) {
      this.unnamed.push(`${device.name}/${device.instance}`);
    } else if (parts.length === 3) {
      // A disk behind usb-storage is that device's own.
      if (!/^\d+:\d+:\d+$/u.test(second ?? "")) this.unnamed.push(`${device.name}/${device.instance}`);
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
      this.add(device, kind, place.path, [`bus=${idOf(place.path)}.0`, `port=${first}`], depth);
    }
  }

  /** The ports of virtio-serial, which have no section of their own. */
  private ports(device: SurveyedDevice, place: PciPlace, depth: number): void {
    if (place.rest !== "virtio-console") return;
    for (const nr of activePorts(device.state)) {
      const kind: DeviceKind = {
        name: "virtio-console",
        device: nr === 0 ? "virtconsole" : "virtserialport",
        backend: "chardev",
      };
      if (nr !== 0) kind.also = ["virtconsole"];
      this.add(device, kind, `${place.path}, port ${nr}`, [`bus=${idOf(place.path)}.0`, `nr=${nr}`], depth + 4);
    }
  }

  private add(device: SurveyedDevice, kind: DeviceKind, path: string, options: readonly string[], depth: number): void {
    const own = kind.backend === undefined ? [] : [this.memoryOf(kind, path) ?? this.backend(kind.backend)];
    if (kind.network === true && this.takesNetwork()) own.push("netdev=net0");
    const argument = [kind.device, ...options, ...own].join(",");
    const { name: section, instance, offset } = device;
    this.likely.push({ device: { section, instance, offset, path, argument, also: kind.also ?? [] }, depth });
  }

  /** A memory backend whose block is named by the device's path and the backend's id. */
  private memoryOf(kind: DeviceKind, path: string): string | undefined {
    const { backend } = kind;
    const name = [...this.survey.blocks.keys()].find((block) => block.startsWith(`${path}/`));
    return backend === "memdev" && kind.name !== "acpi-erst" && name !== undefined
      ? `memdev=${name.slice(path.length + 1)}`
      : undefined;
  }

  private networkTaken = false;

  /** The first network device gets the user network, where the source had one. */
  private takesNetwork(): boolean {
    if (this.networkTaken || !this.survey.devices.some(({ name }) => name === "slirp")) return false;
    this.networkTaken = true;
    return true;
  }

  /** `drive=DRIVE0`: a name that stands for what the user has. */
  private backend(kind: NonNullable<DeviceKind["backend"]>): string {
    const n = this.backends.get(kind) ?? 0;
    this.backends.set(kind, n + 1);
    return `${kind}=${kind.toUpperCase()}${n}`;
  }
}

/** `dev-03.0-00.0`: a name for -device id= that tells the place. */
function idOf(path: string): string {
  return `dev-${path.split(":").slice(2).join("-")}`;
}

/** The kind that a name and the ids in the state mean; undefined where none or several are left. */
export function kindOf(name: string, state: DeviceState | undefined): DeviceKind | undefined {
  const named = DEVICE_KINDS.filter((kind) => kind.name === name);
  const identity = pciIdentity(state);
  const fitting = named.find(
    (kind) =>
      (kind.pci === undefined || kind.pci === identity?.id) &&
      (kind.class === undefined || kind.class === identity?.class),
  );
  return fitting ?? (identity === undefined ? named[0] : undefined);
}

/** Numbers of a virtio-serial's ports; empty for other devices. */
export function activePorts(state: DeviceState | undefined): number[] {
  const ports = state === undefined ? undefined : findRecord(state, "ports");
  if (!Array.isArray(ports)) return [];
  return ports.flatMap((port) =>
    isRecordValue(port) && typeof port.record["id"] === "number" ? [port.record["id"]] : [],
  );
}
