/** Provokes QEMU's error texts: captures in destinations that do not fit, and damaged captures. */
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { About } from "../../src/analyse/explain/types.js";
import { corpusEntry } from "../../tools/corpus.js";
import { startDestination, type DestinationOptions } from "../../tools/destination/index.js";
import type { QemuBinary } from "../../tools/qemu/find.js";

/** A destination that refuses a stream, and the expected explanation. */
export interface Refused {
  name: string;
  entry: string;
  /** Changes the capture's stream. */
  damage?: (stream: Buffer) => Buffer;
  args: readonly string[];
  capabilities?: readonly string[];
  /** Sends the stream: by a pipe, or to a socket that `send` connects to. */
  send?: (path: string, stream: Buffer) => Promise<void>;
  files?: Readonly<Record<string, Uint8Array>>;
  /** The first of explain's findings. */
  cause: string;
  /** Of other versions, where it differs; null: not tested. */
  causes?: Readonly<Record<string, string | null>>;
  /** Parts of its `about`. */
  about?: Readonly<About>;
  /** The expected offset in the stream, found without code of `src`. */
  offset?: (stream: Buffer) => number;
  /** Must match a line of `here` or `why`. */
  says?: RegExp;
  /** Values of `-device` and other arguments that a remedy must contain. */
  proposes?: readonly string[];
  /** The load succeeds (QEMU only prints a warning). */
  loads?: boolean;
  /** Versions that never load the capture, with their error text. */
  never?: Readonly<Record<string, RegExp>>;
  /** Applies a remedy to the destination, which must then load. */
  cured?: "arguments" | "monitor" | "command" | "destination";
}

const NONE = ["-nodefaults", "-vga", "none"];
/** A firmware file of the guest writer's size. */
const BIOS = { "bios.img": Buffer.alloc(65_536) };
const bios = ["-bios", "$DIR/bios.img"];
const pc = (...more: string[]): string[] => ["-machine", "pc-i440fx-7.2", "-m", "8", ...more];
const q35 = (...more: string[]): string[] => ["-machine", "pc-q35-7.2", "-m", "8", ...more];

/** Offset of a FULL or START section's type byte, by its name. */
const sectionAt =
  (name: string) =>
  (stream: Buffer): number =>
    stream.indexOf(Buffer.concat([Buffer.from([name.length]), Buffer.from(name)])) - 5;

/** Offset of a block's entry in the list: the length byte of its name. */
const blockAt =
  (name: string) =>
  (stream: Buffer): number =>
    stream.indexOf(Buffer.concat([Buffer.from([name.length]), Buffer.from(name)]));

function changed(at: (stream: Buffer) => number, ...bytes: number[]): (stream: Buffer) => Buffer {
  return (stream) => {
    const out = Buffer.from(stream);
    out.set(bytes, at(stream));
    return out;
  };
}

/** Inserts a command before the RAM section. */
function withCommand(number: number, ...payload: number[]): (stream: Buffer) => Buffer {
  return (stream) => {
    const at = sectionAt("ram")(stream);
    const command = Buffer.from([8, 0, number, 0, payload.length, ...payload]);
    return Buffer.concat([stream.subarray(0, at), command, stream.subarray(at)]);
  };
}

/** The whole stream over one connection, and a second connection that is not a multifd channel. */
async function twoConnections(path: string, stream: Buffer): Promise<void> {
  for (const [i, bytes] of [stream, stream.subarray(0, 200)].entries()) {
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.write(bytes);
    if (i === 0) await sleep(100);
  }
}

/** The arguments of a capture with the machine type in full, each word changed. */
function argsOf(entry: string, change: (arg: string) => string): string[] {
  const { command, machine } = corpusEntry(entry).capture;
  return command
    .slice(command.indexOf("-machine"))
    .map((arg, i, all) => (all[i - 1] === "-machine" ? machine : change(arg)));
}

const commonDevices = (change: (arg: string) => string): string[] => argsOf("q35-common-devices", change);

/** A payload byte at an offset after a section's header. */
const payloadAt =
  (name: string, more: number) =>
  (stream: Buffer): number =>
    sectionAt(name)(stream) + 6 + name.length + 8 + more;

/** A virtio device that the firmware uses. */
const ACTIVE = "0000:00:02.0:00.0/virtio-blk";

export const REFUSED: readonly Refused[] = [
  {
    name: "another machine",
    entry: "pc-firmware",
    args: ["-machine", "pc-q35-7.2", "-m", "8"],
    cause: "machine-type",
    about: { value: "pc-i440fx-7.2", local: "pc-q35-7.2", streamOffset: 8 },
    says: /another machine altogether/u,
    proposes: ["pc-i440fx-7.2"],
    cured: "destination",
  },
  {
    name: "another version of the machine",
    entry: "pc-never-run",
    args: ["-machine", "pc-i440fx-7.1", "-m", "8", ...NONE],
    cause: "machine-type",
    about: { value: "pc-i440fx-7.2", local: "pc-i440fx-7.1" },
    proposes: ["pc-i440fx-7.2"],
    cured: "arguments",
  },
  {
    name: "no video card",
    entry: "pc-firmware",
    args: pc(...NONE),
    cause: "unknown-block",
    about: { block: "0000:00:02.0/vga.vram", value: 16_777_216 },
    offset: blockAt("0000:00:02.0/vga.vram"),
    proposes: ["VGA,addr=0x2,vgamem_mb=16"],
    cured: "destination",
  },
  {
    name: "a network card without its ROM",
    entry: "pc-firmware",
    args: pc(
      "-nodefaults",
      "-device",
      "VGA,addr=2",
      "-netdev",
      "user,id=net0",
      "-device",
      "e1000,addr=3,netdev=net0,romfile=",
    ),
    cause: "unknown-block",
    about: { block: "0000:00:03.0/e1000.rom" },
    says: /with its option ROM|RAM block/u,
    proposes: ["e1000,addr=0x3,netdev=net0"],
    cured: "destination",
  },
  {
    name: "more memory",
    entry: "pc-firmware",
    args: ["-machine", "pc-i440fx-7.2", "-m", "16"],
    cause: "block-size",
    about: { block: "pc.ram", value: 8_388_608, local: 16_777_216 },
    offset: blockAt("pc.ram"),
    proposes: ["8M"],
    cured: "arguments",
  },
  {
    name: "less video memory",
    entry: "pc-firmware",
    args: pc(
      "-nodefaults",
      "-device",
      "VGA,addr=2,vgamem_mb=8",
      "-netdev",
      "user,id=net0",
      "-device",
      "e1000,addr=3,netdev=net0",
    ),
    cause: "block-size",
    about: { block: "0000:00:02.0/vga.vram", value: 16_777_216, local: 8_388_608 },
    proposes: ["VGA,addr=0x2,vgamem_mb=16"],
    cured: "destination",
  },
  {
    name: "another firmware",
    entry: "live",
    args: pc(...NONE),
    cause: "block-size",
    about: { block: "pc.bios", value: 65_536, local: 262_144 },
    files: BIOS,
    cured: "arguments",
  },
  {
    name: "no DIMM",
    entry: "hotplug",
    args: pc(...NONE, ...bios),
    files: BIOS,
    cause: "unknown-block",
    about: { block: "mem-cold", value: 4_194_304 },
    offset: blockAt("mem-cold"),
    says: /RAM block/u,
    proposes: ["memory-backend-ram,id=mem-cold,size=4M"],
  },
  {
    name: "no devices",
    entry: "q35-common-devices",
    args: q35(...NONE),
    cause: "unknown-section",
    about: { section: "0000:00:01.0/pcie-root-port", instance: 0 },
    offset: sectionAt("0000:00:01.0/pcie-root-port"),
    proposes: ["pcie-root-port,id=dev-01.0,addr=0x1,chassis=1,slot=1"],
    cured: "destination",
  },
  {
    name: "no user network",
    entry: "pc-firmware",
    args: pc("-nodefaults", "-device", "VGA,addr=2", "-device", "e1000,addr=3"),
    cause: "unknown-section",
    about: { section: "slirp", instance: 0 },
    offset: sectionAt("slirp"),
    proposes: ["user,id=net0"],
    cured: "arguments",
  },
  {
    name: "fewer CPUs",
    entry: "live-q35",
    args: q35(...NONE, ...bios),
    files: BIOS,
    cause: "unknown-section",
    about: { instance: 1 },
    proposes: ["2"],
    cured: "arguments",
  },
  {
    name: "a capability that is off",
    entry: "ignore-shared",
    args: pc(...NONE),
    cause: "capability",
    about: { value: "on", local: "off", streamOffset: 8 },
    says: /names the capability x-ignore-shared/u,
  },
  {
    name: "a capability that is on",
    entry: "pc-never-run",
    args: pc(...NONE),
    capabilities: ["x-ignore-shared"],
    cause: "capability",
    about: { value: "off", local: "on" },
    cured: "monitor",
  },
  {
    name: "a capability that does not exist",
    entry: "ignore-shared",
    damage: changed((stream) => stream.indexOf("x-ignore-shared") + 14, 0x78),
    args: pc(...NONE),
    cause: "unknown-capability",
    about: { value: "x-ignore-sharex" },
  },
  {
    name: "another UUID",
    entry: "validate-uuid",
    args: pc(...NONE, ...bios, "-uuid", "00000000-0000-0000-0000-000000000001"),
    files: BIOS,
    capabilities: ["validate-uuid"],
    cause: "uuid",
    about: { value: "6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab", local: "00000000-0000-0000-0000-000000000001" },
    proposes: ["6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab"],
    cured: "arguments",
  },
  {
    name: "no UUID",
    entry: "validate-uuid",
    args: pc(...NONE, ...bios),
    files: BIOS,
    capabilities: ["validate-uuid"],
    cause: "uuid-not-set",
    loads: true,
    says: /only a warning/u,
  },
  {
    name: "no configuration section",
    entry: "configuration-off",
    args: pc(...NONE, ...bios),
    files: BIOS,
    cause: "configuration-missing",
    about: { streamOffset: 8 },
    proposes: ["migration.send-configuration=off"],
    cured: "arguments",
  },
  {
    name: "a configuration section that is not expected",
    entry: "pc-never-run",
    args: pc(...NONE, "-global", "migration.send-configuration=off"),
    cause: "unknown-section-type",
    about: { value: "0x7", streamOffset: 8 },
    proposes: ["migration.send-configuration=on"],
    cured: "arguments",
  },
  {
    name: "footers that are not expected",
    entry: "pc-never-run",
    args: pc(...NONE, "-global", "migration.send-section-footer=off"),
    cause: "unknown-section-type",
    about: { value: "0x7e" },
    proposes: ["migration.send-section-footer=on"],
    cured: "arguments",
  },
  {
    name: "no footers",
    entry: "footers-off",
    args: pc(...NONE, ...bios),
    files: BIOS,
    cause: "footer-missing",
    about: { section: "ram" },
    proposes: ["migration.send-section-footer=off"],
    cured: "arguments",
  },
  {
    name: "compressed pages without the capability",
    causes: { "10.0": "page-flags", "11.1": "page-flags" },
    entry: "compress-live",
    args: pc(...NONE, ...bios),
    files: BIOS,
    cause: "compressed-page",
    about: { block: "pc.ram" },
    cured: "command",
  },
  {
    name: "a compressed page with a wrong byte",
    causes: { "10.0": "capability-name", "11.1": "capability-name" },
    entry: "compress-live",
    // After the zlib header 78 01 of the first compressed page.
    damage: changed((stream) => stream.indexOf(Buffer.from([0x78, 0x01])) + 5, 0xff, 0xff, 0xff, 0xff),
    args: pc(...NONE, ...bios),
    files: BIOS,
    capabilities: ["compress"],
    cause: "compressed-data",
  },
  {
    name: "multifd over a pipe",
    entry: "pc-never-run",
    args: pc(...NONE),
    capabilities: ["multifd"],
    cause: "multifd-protocol",
    cured: "monitor",
  },
  {
    name: "a channel that is none",
    causes: { "10.0": null, "11.1": null },
    entry: "pc-never-run",
    args: pc(...NONE),
    capabilities: ["multifd"],
    send: twoConnections,
    cause: "multifd-packet",
    about: { value: "5145564d", local: "11223344" },
  },
  {
    name: "no disk for block migration",
    causes: { "10.0": "unknown-section", "11.1": "unknown-section" },
    entry: "block",
    args: ["-machine", "microvm", "-m", "1", ...NONE, ...bios],
    files: BIOS,
    cause: "block-device",
    about: { section: "block", value: "empty" },
    offset: sectionAt("block"),
    says: /disk "empty"/u,
  },
  {
    name: "no disk for a bitmap",
    entry: "dirty-bitmap",
    args: ["-machine", "none", "-m", "64K"],
    capabilities: ["dirty-bitmaps"],
    cause: "bitmap-node",
    about: { section: "dirty-bitmap", value: "disk0" },
    offset: sectionAt("dirty-bitmap"),
    loads: true,
  },
  {
    name: "another MAC address",
    entry: "q35-common-devices",
    args: commonDevices((arg) => (arg.startsWith("e1000e,") ? `${arg},mac=52:54:00:aa:bb:cc` : arg)),
    cause: "pci-config",
    about: { section: "0000:00:08.0/e1000e", field: "config[0x144]", value: "0x57", local: "0xcc" },
    offset: payloadAt("0000:00:08.0/e1000e", 4 + 0x144),
    says: /MAC address/u,
    proposes: ["e1000e,addr=0x8,mac=52:54:00:12:34:57,romfile="],
    cured: "destination",
  },
  {
    name: "another slot number",
    entry: "q35-common-devices",
    args: commonDevices((arg) => arg.replace("slot=1", "slot=2")),
    cause: "pci-config",
    about: { section: "0000:00:01.0/pcie-root-port", field: "config[0x6a]" },
    offset: payloadAt("0000:00:01.0/pcie-root-port", 4 + 0x6a),
    cured: "destination",
  },
  {
    name: "other MSI-X vectors",
    entry: "q35-common-devices",
    args: commonDevices((arg) => (arg.startsWith("virtio-net-pci,") ? `${arg},vectors=9` : arg)),
    cause: "pci-config",
    about: { section: "0000:00:01.0:00.0/virtio-net" },
    proposes: ["virtio-net-pci,bus=dev-01.0,addr=0x0,vectors=4,romfile="],
    cured: "destination",
  },
  {
    name: "another kind of virtio input",
    entry: "q35-common-devices",
    args: commonDevices((arg) => arg.replace("virtio-tablet-pci", "virtio-keyboard-pci")),
    cause: "pci-config",
    about: { section: "0000:00:07.0/virtio-input", field: "config[0xa]" },
    offset: payloadAt("0000:00:07.0/virtio-input", 4 + 0xa),
    says: /class code/u,
    proposes: ["virtio-tablet-pci,addr=0x7"],
    cured: "destination",
  },
  {
    name: "fewer outputs",
    entry: "q35-virtio",
    args: argsOf("q35-virtio", (arg) => arg.replace(",max_outputs=2", "")),
    cause: "equal",
    about: { section: "0000:00:0c.0/virtio-gpu", value: "0x2", local: "0x1" },
    proposes: ["virtio-gpu-pci,addr=0xc,max_outputs=2"],
    // Chapter 21: no later version reads 7.2's state of a second output.
    never: { "10.0": /Missing section footer for \S+virtio-gpu/u, "11.1": /Missing section footer for \S+virtio-gpu/u },
    cured: "destination",
  },
  {
    name: "a feature that the device does not offer",
    entry: "q35-virtio",
    // Bit 33, in the subsection's be64 after its name and be32 version.
    damage: changed((stream) => stream.indexOf("virtio/64bit_features", sectionAt(ACTIVE)(stream)) + 21 + 4 + 3, 0x03),
    args: argsOf("q35-virtio", (arg) => arg),
    cause: "virtio-features",
    about: { section: ACTIVE, value: "0x300000044" },
    offset: sectionAt(ACTIVE),
    says: /bit 33 \(33: ACCESS_PLATFORM\)/u,
  },
  {
    name: "a ring that goes on where its memory does not",
    entry: "q35-virtio",
    // last_avail_idx, after the be64 address of the ring that the firmware has set up.
    damage: changed(
      (stream) => stream.indexOf(Buffer.from("00000000007da000", "hex"), sectionAt(ACTIVE)(stream)) + 8,
      0x10,
      0,
    ),
    args: argsOf("q35-virtio", (arg) => arg),
    // 7.2 disables the device and continues; later versions do not load this capture at all (chapter 21).
    loads: true,
    causes: { "10.0": null, "11.1": null },
    cause: "virtqueue",
    about: { section: ACTIVE, field: "vq[0]" },
    offset: sectionAt(ACTIVE),
    says: /indices of virtqueue 0/u,
  },
  {
    name: "fewer queues",
    entry: "q35-virtio",
    args: argsOf("q35-virtio", (arg) => arg.replace("num-queues=2", "num-queues=1,vectors=3")),
    // Earlier versions load the state of a missing queue.
    causes: { "7.2": null, "10.0": null },
    cause: "virtqueue",
    about: { section: "0000:00:02.0:00.0/virtio-blk", field: "vq[1]", value: 256, local: 0 },
    says: /no such queue/u,
    proposes: ["virtio-blk-pci,bus=dev-02.0,addr=0x0,vectors=3,num-queues=2,drive=DRIVE0"],
  },
  {
    name: "a device state that is too old",
    entry: "pc-never-run",
    damage: changed((stream) => sectionAt("timer")(stream) + 18, 0),
    args: pc(...NONE),
    cause: "state-version",
    about: { value: 0, field: "timer" },
    offset: sectionAt("timer"),
  },
  {
    name: "postcopy's RUN without the rest",
    entry: "pc-never-run",
    damage: withCommand(5),
    args: pc(...NONE),
    cause: "command-state",
    offset: (stream) => stream.indexOf(Buffer.from([8, 0])),
  },
  {
    name: "PING without a return path",
    entry: "pc-never-run",
    damage: withCommand(2, 0, 0, 0, 1),
    args: pc(...NONE),
    cause: "command-state",
    offset: (stream) => stream.indexOf(Buffer.from([8, 0])),
  },
  {
    name: "a machine that is not there",
    entry: "pc-never-run",
    args: ["-machine", "pc-i440fx-1.3", "-m", "8"],
    cause: "unsupported-machine",
    about: { value: "pc-i440fx-7.2" },
  },
  {
    name: "a device that is not there",
    entry: "pc-never-run",
    args: pc("-device", "nosuch"),
    cause: "device-model",
    about: { value: "nosuch" },
  },
];

/** The stream of a case. */
export function streamOf({ entry, damage }: Refused): Buffer {
  const stream = corpusEntry(entry).open();
  return damage === undefined ? stream : damage(stream);
}

/** QEMU's output, verbatim, and whether it loaded. */
export async function refuse(
  qemu: QemuBinary,
  options: Pick<DestinationOptions, "args" | "stream"> & Partial<DestinationOptions>,
  send?: Refused["send"],
): Promise<{ loaded: boolean; text: string }> {
  const { stream } = options;
  try {
    const { vm, result } = await startDestination({
      qemu,
      timeout: 4000,
      ...options,
      ...(send === undefined || typeof stream === "string"
        ? {}
        : {
            stream: "unix:$DIR/incoming.sock",
            onListening: async (process) => send(join(process.folder, "incoming.sock"), Buffer.from(stream)),
          }),
    });
    // A warning may come after the event of the load.
    if (result.loaded) await sleep(100);
    const warnings = result.loaded ? vm.stderr.trim() : "";
    await vm.close();
    return { loaded: result.loaded, text: warnings === "" ? result.error : warnings };
  } catch (error) {
    // It did not start: the error text is in the message.
    return { loaded: false, text: String(error) };
  }
}
