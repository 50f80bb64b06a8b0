/** Arbitrary values of the wire format's structures, for fast-check. */
import * as fc from "fast-check";
import { LIBVIRT_MAGIC } from "../../src/io/container/detect.js";
import { type Qcow2Header } from "../../src/io/container/qcow2/header.js";
import { Diagnostics } from "../../src/bytes/errors.js";
import { QemuFileReader, QemuFileWriter } from "../../src/bytes/index.js";
import { decodeRecords, encodeRecords, RamBatch, RamFlag, RamState } from "../../src/codec/ram/index.js";
import { mappedHeader } from "../../src/codec/ram/mapped-area.js";
import { DEFAULT_LIMITS, type Command, type Configuration } from "../../src/codec/stream/index.js";
import { type ReturnMessage } from "../../src/codec/stream/return-path.js";

export const u32 = fc.nat(0xffffffff);
export const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
export const name = fc
  .array(fc.nat(255), { maxLength: 255, size: "small" })
  .map((codes) => String.fromCharCode(...codes));
const realName = name.filter((text) => text !== "");
export const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
export const page = bytes(1024);
export const strict = (): Diagnostics => new Diagnostics();

export const configuration: fc.Arbitrary<Configuration> = fc.record({
  machine: name,
  subsections: fc.array(
    fc.oneof(
      fc.record({ name: fc.constant("configuration/target-page-bits" as const), version: u32, bits: u32 }),
      fc.record({
        name: fc.constant("configuration/capabilities" as const),
        version: u32,
        capabilities: fc.array(name, { maxLength: 4 }),
      }),
      fc.record({ name: fc.constant("configuration/uuid" as const), version: u32, uuid: bytes(16) }),
    ),
    { maxLength: 4 },
  ),
});

const range = fc.record({ start: fc.maxSafeNat(), length: fc.maxSafeNat() });
export const command: fc.Arbitrary<Command> = fc.oneof(
  fc
    .constantFrom(
      "OPEN_RETURN_PATH",
      "POSTCOPY_LISTEN",
      "POSTCOPY_RUN",
      "ENABLE_COLO",
      "POSTCOPY_RESUME",
      "SWITCHOVER_START",
    )
    .map((n) => ({ name: n })),
  fc.record({ name: fc.constant("PING" as const), value: u32 }),
  fc.record({ name: fc.constant("POSTCOPY_ADVISE" as const), ram: fc.record({ pageSizes: u64, pageSize: u64 }) }),
  fc.constant<Command>({ name: "POSTCOPY_ADVISE" }),
  fc.record({
    name: fc.constant("POSTCOPY_RAM_DISCARD" as const),
    block: realName,
    ranges: fc.array(range, { minLength: 1, maxLength: 12 }),
  }),
  fc.record({ name: fc.constant("PACKAGED" as const), length: fc.nat(DEFAULT_LIMITS.packagedBytes) }),
  fc.record({
    name: fc.constant("RECV_BITMAP" as const),
    block: name.filter((text) => text.length > 0 && text.length < 255),
  }),
);

export const message: fc.Arbitrary<ReturnMessage> = fc.oneof(
  fc.record({ name: fc.constantFrom("SHUT" as const, "PONG" as const), value: u32 }),
  fc.constant<ReturnMessage>({ name: "SWITCHOVER_ACK" }),
  fc.record({ name: fc.constant("REQ_PAGES" as const), start: fc.maxSafeNat(), length: u32 }),
  fc.record({ name: fc.constant("REQ_PAGES" as const), start: fc.maxSafeNat(), length: u32, block: realName }),
  fc.record({
    name: fc.constant("RECV_BITMAP" as const),
    block: realName,
    bitmap: fc.uint8Array({ maxLength: 64 }).map((b) => b.subarray(0, b.length & ~7)),
    end: fc.constant(0x0123456789abcdefn),
  }),
);

export const blockList = fc
  .array(fc.tuple(realName, fc.integer({ min: 1, max: 2 ** 30 })), { minLength: 1, maxLength: 6 })
  .map((items) => {
    const blocks = items.map(([idstr, pages], index) => ({ index, idstr, usedLength: pages * 1024 }));
    return { total: blocks.reduce((sum, { usedLength }) => sum + usedLength, 0), blocks };
  });

/** A name in a multifd packet and what is left behind its NUL. */
const packetName = fc.array(fc.integer({ min: 1, max: 255 }), { maxLength: 60 }).chain((codes) =>
  bytes(255 - codes.length).map((idstrRest) => ({
    idstr: String.fromCharCode(...codes),
    idstrRest: idstrRest as Uint8Array | undefined,
  })),
);
export const ramPacket = fc
  .tuple(
    fc.record({
      magic: u32,
      version: u32,
      flags: u32,
      pagesAlloc: u32,
      normalPages: u32,
      nextPacketSize: u32,
      packetNum: u64,
      zeroPages: u32,
    }),
    fc.array(u32, { minLength: 7, maxLength: 7 }),
    packetName,
    fc.array(u64, { minLength: 8, maxLength: 8 }),
  )
  .map(([fields, unused, named, offsets]) => Object.assign(fields, named, { unused, offsets }));
export const devicePacket = fc
  .tuple(fc.record({ magic: u32, version: u32, flags: u32, instanceId: u32, nextPacketSize: u32 }), packetName)
  .map(([fields, named]) => Object.assign(fields, named));
export const initPacket = fc.record({
  magic: fc.constant(0x11223344),
  version: fc.constant(1),
  uuid: bytes(16),
  channel: fc.nat(255),
  unused: bytes(39),
});

export const libvirtHeader = fc.record({
  magic: fc.constant(LIBVIRT_MAGIC),
  version: fc.integer({ min: 1, max: 2 }),
  dataLength: fc.integer({ min: 1, max: 1 << 20 }),
  wasRunning: fc.nat(1),
  format: fc.nat(6),
  cookieOffset: fc.constant(0),
  unused: fc.array(u32, { minLength: 14, maxLength: 14 }),
  littleEndian: fc.boolean(),
});

/** Page records of two blocks, as a batch. */
interface Records {
  flags: number[];
  blocks: number[];
  offsets: number[];
  bodies: Uint8Array[];
  /** The upper bits of EOS. */
  end: number;
}

export const records: fc.Arbitrary<Records> = fc
  .array(
    fc.tuple(
      fc.constantFrom(RamFlag.ZERO, RamFlag.PAGE, RamFlag.COMPRESS_PAGE, RamFlag.XBZRLE),
      fc.nat(1),
      fc.nat(255),
      page,
      fc.nat(1000),
    ),
    { maxLength: 12 },
  )
  .map((list) => ({
    end: 0,
    flags: list.map(([flag]) => flag),
    blocks: list.map(([, block]) => block),
    offsets: list.map(([, , at]) => at * 1024),
    bodies: list.map(([flag, , , body, n]) =>
      flag === RamFlag.PAGE ? body : flag === RamFlag.ZERO ? body.subarray(0, 1) : body.subarray(0, n),
    ),
  }));

function ramState(): RamState {
  const ram = new RamState(1024);
  for (const [index, idstr] of ["pc.ram", "vga.vram"].entries()) ram.add({ index, idstr, usedLength: 256 * 1024 });
  return ram;
}

/** Encodes records through a batch, with CONTINUE as QEMU sets it, and EOS. */
export function encodeAll(writer: QemuFileWriter, { flags, blocks, offsets, bodies, end }: Records): void {
  const ram = ramState();
  const batch = new RamBatch();
  const all = new Uint8Array(bodies.reduce((sum, { length }) => sum + length, 0));
  batch.reset(all);
  let at = 0;
  for (const [i, flag] of [...flags, RamFlag.EOS].entries()) {
    batch.flag[i] = flag;
    batch.continues[i] = i > 0 && flag !== RamFlag.EOS && blocks[i] === blocks[i - 1] ? 1 : 0;
    batch.block[i] = flag === RamFlag.EOS ? undefined : ram.blocks[blocks[i]!];
    batch.offset[i] = flag === RamFlag.EOS ? end : offsets[i]!;
    const body = bodies[i] ?? new Uint8Array(0);
    if (flag === RamFlag.ZERO) batch.fill[i] = body[0]!;
    all.set(body, at);
    batch.bodyStart[i] = at;
    batch.bodyLength[i] = flag === RamFlag.ZERO ? 0 : body.length;
    at += body.length;
    batch.count = i + 1;
  }
  encodeRecords(writer, batch);
}

export function decodeAll(reader: QemuFileReader): Records {
  const ram = ramState();
  const batch = new RamBatch();
  batch.reset(reader.buffer);
  const status = decodeRecords(reader, ram, batch, strict());
  if (status.kind !== "eos") throw reader.error("truncated", "no EOS");
  const pages = Array.from({ length: batch.count - 1 }, (_, i) => i);
  return {
    end: batch.offset[batch.count - 1]!,
    flags: pages.map((i) => batch.flag[i]!),
    blocks: pages.map((i) => batch.block[i]?.index ?? -1),
    offsets: pages.map((i) => batch.offset[i]!),
    bodies: pages.map((i) => (batch.flag[i] === RamFlag.ZERO ? Uint8Array.of(batch.fill[i]!) : batch.body(i).slice())),
  };
}

export const qcow2: fc.Arbitrary<Qcow2Header> = fc.record({
  version: fc.constant(3),
  backingFileOffset: fc.constant(0n),
  backingFileSize: fc.constant(0),
  clusterBits: fc.integer({ min: 9, max: 21 }),
  size: fc.bigInt(0n, 2n ** 40n),
  encryption: fc.constant(0),
  l1Size: fc.nat(1000),
  l1TableOffset: fc.constant(0x30000n),
  refcountTableOffset: fc.constant(0x10000n),
  refcountTableClusters: fc.constant(1),
  snapshots: fc.nat(1000),
  snapshotsOffset: fc.constant(0x50000n),
  incompatibleFeatures: fc.constant(0n),
  compatibleFeatures: fc.constant(1n),
  autoclearFeatures: fc.constant(0n),
  refcountOrder: fc.constant(4),
  headerLength: fc.constant(112),
  compression: fc.constant(0),
});

export const mapped = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 40 })).chain(([pages, at]) =>
  bytes(8 * Math.ceil(pages / 64)).map((bitmap) => {
    const header = mappedHeader(at, pages * 1024, 1024);
    const gapLength = Number(header.pagesOffset) - at - bitmap.length;
    return {
      block: { index: 0, idstr: "r", usedLength: pages * 1024, mapped: header },
      bitmap,
      gapLength,
      gap: undefined,
    };
  }),
);
