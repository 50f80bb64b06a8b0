/** Devices of targets as options: those on PCI by `devices.ts`, the rest by the helpers here. */
import { BUS_DEVICES, DEVICE_KINDS } from "../device-table.js";
import { activePorts, userNetworks } from "../device-places.js";
import { likelyDevices } from "../devices.js";
import { busProperties } from "../virtio-properties.js";
import type { Survey, SurveyedDevice } from "../survey.js";
import type { LikelyDevice } from "../types.js";

/** Where a section's device is: the start of its name, the id that we give it, and its options there. */
export interface Place {
  path: string;
  id: string;
  options: string[];
  /** Of the names of virtio devices: `ccw` of virtio-blk-ccw. */
  suffix: string;
}

/** Devices that were named, and sections that were not. */
export interface Named {
  devices: LikelyDevice[];
  unnamed: string[];
  notes: string[];
}

/** Devices on PCI, and those on their buses. `own` are sections of the machine's own. */
export function onPci(survey: Survey, own: ReadonlySet<string>): Named {
  const devices = survey.devices.filter(({ name }) => !own.has(name));
  const { likely: found, unnamed, notes } = likelyDevices({ ...survey, devices });
  const withSlirp = survey.devices.some(({ name }) => name === "slirp");
  return { devices: found, unnamed, notes: withSlirp ? notes.filter((note) => !note.includes('"slirp"')) : notes };
}

/**
 * Option of a section `PATH/virtio-blk` on a bus other than PCI, with the ports of virtio-serial; undefined: not known.
 */
export function virtioDevice(device: SurveyedDevice, place: Place): LikelyDevice[] | undefined {
  const rest = device.name.slice(place.path.length + 1);
  const [kind, ...others] = DEVICE_KINDS.filter((one) => one.name === rest && one.device.startsWith("virtio-"));
  if (kind === undefined) return undefined;
  const model = (name: string): string =>
    name.replace(/^virtio-vga$/u, "virtio-gpu").replace(/-pci$/u, "") + place.suffix;
  const options = [...place.options, ...busProperties(kind, device.state), ...(kind.options?.split(",") ?? [])];
  const ports = activePorts(device.state);
  if (ports.length > 0) options.unshift(`id=${place.id}`);
  else if (rest === "virtio-scsi") options.unshift(`id=${place.id}`);
  const backend = kind.backend === undefined ? [] : [`${kind.backend}=${kind.backend.toUpperCase()}0`];
  const also = [...(kind.also ?? []), ...others.map((one) => one.device)].map(model);
  const main = likely(device, place.path, [model(kind.device), ...options, ...backend], [...new Set(also)]);
  main.also = main.also.filter((name) => name !== model(kind.device));
  return [
    main,
    ...ports.map((nr) =>
      likely(
        device,
        `${place.path}, port ${nr}`,
        [nr === 0 ? "virtconsole" : "virtserialport", `bus=${place.id}.0`, `nr=${nr}`, "chardev=CHARDEV0"],
        nr === 0 ? [] : ["virtconsole"],
      ),
    ),
  ];
}

/** Option of a section `PATH/CHANNEL:ID:LUN/scsi-disk`; undefined: not one. */
export function scsiDevice(device: SurveyedDevice, place: Place): LikelyDevice | undefined {
  const [address = "", name] = device.name.slice(place.path.length + 1).split("/");
  const [, channel, id, lun] = /^(\d+):(\d+):(\d+)$/u.exec(address) ?? [];
  const kind = BUS_DEVICES.find((one) => one.name === name);
  if (channel === undefined || kind === undefined) return undefined;
  const where = [`bus=${place.id}.0`, `channel=${channel}`, `scsi-id=${id}`, `lun=${lun}`];
  return likely(device, place.path, [kind.device, ...where, "drive=DRIVE0"], kind.also ?? []);
}

export function likely(
  { name: section, instance, offset }: SurveyedDevice,
  path: string,
  argument: readonly string[],
  also: string[] = [],
): LikelyDevice {
  return { section, instance, streamOffset: offset, place: path, argument: argument.join(","), also };
}

/** Gives each backend that is asked for its own number: `DRIVE0`, `DRIVE1`, ... */
export function renumber(devices: readonly LikelyDevice[]): LikelyDevice[] {
  const counts = new Map<string, number>();
  return devices.map((device) => ({
    ...device,
    argument: device.argument.replace(/=(DRIVE|NETDEV|CHARDEV|AUDIODEV|MEMDEV|FSDEV|BMC)\d+\b/gu, (_, kind: string) => {
      const n = counts.get(kind) ?? 0;
      counts.set(kind, n + 1);
      return `=${kind}${n}`;
    }),
  }));
}

/** The user networks that the source had go to the network devices, in their order. */
export function takeNetwork(survey: Survey, devices: readonly LikelyDevice[]): LikelyDevice[] {
  const taken = new Set(devices.flatMap(({ argument }) => /,netdev=(net\d+)$/u.exec(argument)?.[1] ?? []));
  const free = userNetworks(survey).filter((n) => !taken.has(`net${n}`));
  return devices.map((one) => {
    const wants = /^(?:virtio-net|spapr-vlan)/u.test(one.argument) && !/,netdev=/u.test(one.argument);
    const n = wants ? free.shift() : undefined;
    return n === undefined ? one : { ...one, argument: `${one.argument},netdev=net${n}` };
  });
}

/** Section names of one word that a machine has of itself: split at spaces. */
export function names(text: string): ReadonlySet<string> {
  return new Set(text.split(/\s+/u).filter((word) => word !== ""));
}

/** Sections that every target has. */
export const EVERYWHERE = "timer cpu_common cpu fw_cfg PCIHost PCIBUS globalstate slirp audio";

/** The virtio-mmio transports of a machine. */
interface Transports {
  /** Address of the first. */
  base: number;
  /** From one to the next, in bytes. */
  step: number;
  count: number;
}

/** Devices of virtio-mmio: `PATH/...` at the addresses that the machine's transports have. */
export function onMmio<S extends Pick<Survey, "devices">>(
  survey: S,
  { base, step, count }: Transports,
): Named & { rest: S } {
  const found: Named = { devices: [], unnamed: [], notes: [] };
  const rest: SurveyedDevice[] = [];
  for (const device of survey.devices) {
    const [path, address] = /^virtio-mmio@([0-9a-f]+)(?=\/)/u.exec(device.name) ?? [];
    if (path === undefined || address === undefined) {
      rest.push(device);
      continue;
    }
    const slot = (Number.parseInt(address, 16) - base) / step;
    const place = { path, id: `mmio-${slot}`, options: [`bus=virtio-mmio-bus.${slot}`], suffix: "-device" };
    const disk = scsiDevice(device, place);
    const named = disk === undefined ? virtioDevice(device, place) : [disk];
    if (named === undefined || !Number.isInteger(slot) || slot < 0 || slot >= count)
      found.unnamed.push(`${device.name}/${device.instance}`);
    else found.devices.push(...named);
  }
  return { ...found, rest: { ...survey, devices: rest } };
}

/** `-global virtio-mmio.force-legacy=false` where a device's state has what only such a one saves. */
export function mmioArguments(survey: Survey): string[] {
  const modern = survey.devices.some(
    ({ name, state }) =>
      name.startsWith("virtio-mmio@") && JSON.stringify(state?.fields, plain).includes('"virtio_mmio/state"'),
  );
  return modern ? ["-global", "virtio-mmio.force-legacy=false"] : [];
}

const plain = (_: string, value: unknown): unknown => (typeof value === "bigint" ? `${value}` : value);
