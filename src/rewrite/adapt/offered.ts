import { QevmError } from "../../bytes/errors.js";
import type { JsonObject } from "../../io/transport/qmp.js";
import { textOf } from "../../io/transport/qmp.js";
import { capabilitiesOf } from "./rules/pci-registers.js";
import type { Monitor } from "./objects.js";

/** Feature bits that each virtio device offers, by its place: `0000:00:03.0`. */
export type OfferedFeatures = ReadonlyMap<string, bigint>;

/**
 * Reads which features the virtio devices of a paused machine offer, as its driver would: through the ports of PCI's
 * configuration space, by the monitor's `i` and `o`. The machine is of no use afterwards: its bridges have numbers.
 * `x-query-virtio-status` says the same from 7.2 on, but ends QEMU 11.1 (an assertion in qapi-visit-core.c). Empty where
 * the machine has no such ports. Source: virtio 1.2 (4.1.4, 4.1.4.9: the window in configuration space); QEMU
 * hw/virtio/virtio-pci.c (5.2 to 11.1).
 */
export async function offeredFeatures(qmp: Monitor): Promise<OfferedFeatures> {
  const found = new Map<string, bigint>();
  try {
    const target = (await qmp.execute("query-target")) as JsonObject;
    if (!/^(?:x86_64|i386)$/u.test(textOf(target["arch"]))) return found;
    await new Scan(qmp, found).bus(0, "0000:00");
  } catch {
    // A machine without PCI, or a monitor without these commands: nothing is known.
  }
  return found;
}

const ADDRESS_PORT = 0xcf8;
const DATA_PORT = 0xcfc;
/** Where the legacy interface is mapped while it is read. */
const LEGACY_PORT = 0xc000;
const VIRTIO_VENDOR = 0x1af4;
const VENDOR_CAPABILITY = 9;
/** Features of legacy drivers alone, which the modern interface does not show: 24 NOTIFY_ON_EMPTY, 27 ANY_LAYOUT. */
const LEGACY_FEATURES = (1n << 24n) | (1n << 27n);

class Scan {
  private last = 0;

  constructor(
    private readonly qmp: Monitor,
    private readonly found: Map<string, bigint>,
  ) {}

  /** All functions of a bus and of those after its bridges. */
  async bus(bus: number, path: string): Promise<void> {
    for (let device = 0; device < 32; device++) {
      for (let number = 0; number < 8; number++) {
        const one = new Func(this.qmp, bus, device, number);
        const id = await one.read(0);
        if (id === 0xffff_ffff || id === 0) {
          if (number === 0) break;
          continue;
        }
        const type = (await one.read(0x0c)) >>> 16;
        const place = `${path}:${device.toString(16).padStart(2, "0")}.${number}`;
        if ((type & 0x7f) === 1) await this.behind(one, bus, place);
        else if ((id & 0xffff) === VIRTIO_VENDOR) await this.device(one, id >>> 16, place);
        if (number === 0 && (type & 0x80) === 0) break;
      }
    }
  }

  private async behind(bridge: Func, bus: number, place: string): Promise<void> {
    if (this.last >= 0xff) return;
    const number = ++this.last;
    await bridge.write(0x18, bus | (number << 8) | (0xff << 16));
    // Ports 0xc000 to 0xcfff.
    await bridge.write(0x1c, 0xc0c0);
    await bridge.write(0x04, 3);
    await this.bus(number, place);
    await bridge.write(0x04, 0);
  }

  private async device(one: Func, id: number, place: string): Promise<void> {
    if (id < 0x1000 || id > 0x107f) return;
    const space = new Uint8Array(256);
    const view = new DataView(space.buffer);
    for (let at = 0; at < 256; at += 4) view.setUint32(at, await one.read(at), true);
    const windows = capabilitiesOf(space, space[0x34]!).filter(({ id: kind }) => kind === VENDOR_CAPABILITY);
    const of = (type: number): number | undefined => windows.find(({ at }) => space[at + 3] === type)?.at;
    const [common, window] = [of(1), of(5)];
    let features = 0n;
    if (common !== undefined && window !== undefined) {
      features = await modern(one, window, view.getUint32(common + 8, true), space[common + 4]!);
      features |= LEGACY_FEATURES;
    }
    if ((view.getUint32(0x10, true) & 1) === 1) features |= await this.legacy(one);
    this.found.set(place, features);
  }

  /** The low half, which is the first register of BAR 0. */
  private async legacy(one: Func): Promise<bigint> {
    await one.write(0x10, LEGACY_PORT);
    await one.write(0x04, 1);
    const low = await one.in(LEGACY_PORT);
    await one.write(0x04, 0);
    await one.write(0x10, 0);
    return BigInt(low);
  }
}

/** All features by the common configuration: a selector, and 32 bits of them. */
async function modern(one: Func, window: number, offset: number, bar: number): Promise<bigint> {
  const point = async (at: number): Promise<void> => {
    await one.write(window + 4, bar);
    await one.write(window + 8, at);
    await one.write(window + 12, 4);
  };
  let features = 0n;
  // Drivers before virtio 1.3 know two halves; QEMU from 10.1 on has four.
  for (let half = 0; half < 4; half++) {
    await point(offset);
    await one.write(window + 16, half);
    await point(offset + 4);
    features |= BigInt(await one.read(window + 16)) << BigInt(32 * half);
  }
  return features;
}

/** One function's configuration space, in words of 32 bits. */
class Func {
  private readonly address: number;

  constructor(
    private readonly qmp: Monitor,
    bus: number,
    device: number,
    number: number,
  ) {
    this.address = (0x8000_0000 | (bus << 16) | (device << 11) | (number << 8)) >>> 0;
  }

  async read(at: number): Promise<number> {
    await this.out(ADDRESS_PORT, (this.address | at) >>> 0);
    return await this.in(DATA_PORT);
  }

  async write(at: number, value: number): Promise<void> {
    await this.out(ADDRESS_PORT, (this.address | at) >>> 0);
    await this.out(DATA_PORT, value);
  }

  async in(port: number): Promise<number> {
    const said = textOf(await this.command(`i/w 0x${port.toString(16)}`));
    // 5.2 writes zero without 0x.
    const value = /= (?:0x)?([0-9a-f]+)/u.exec(said)?.[1];
    if (value === undefined) throw new QevmError("io", `the monitor's i/w: ${said}`);
    return Number.parseInt(value, 16);
  }

  private async out(port: number, value: number): Promise<void> {
    await this.command(`o/w 0x${port.toString(16)} 0x${value.toString(16)}`);
  }

  private async command(line: string): ReturnType<Monitor["execute"]> {
    return await this.qmp.execute("human-monitor-command", { "command-line": line });
  }
}
