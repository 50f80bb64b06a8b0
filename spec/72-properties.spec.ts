import * as fc from "fast-check";
import test from "tape";
import { LIBVIRT_MAGIC } from "../src/io/container/detect.js";
import { decodeLibvirtHeader, encodeLibvirtHeader } from "../src/io/container/libvirt/header.js";
import { decodeQcow2Header, encodeQcow2Header, type Qcow2Header } from "../src/io/container/qcow2/header.js";
import { Diagnostics, QevmError } from "../src/bytes/errors.js";
import {
  decodeDevicePacket,
  decodeInitPacket,
  decodePageTable,
  decodeRamPacket,
  encodeDevicePacket,
  encodeInitPacket,
  encodePageTable,
  encodeRamPacket,
  INIT_LENGTH,
} from "../src/codec/multifd/index.js";
import { MemorySink, QemuFileReader, QemuFileWriter } from "../src/bytes/index.js";
import {
  decodeBlockList,
  decodeRecords,
  encodeBlockList,
  encodeRecords,
  RamBatch,
  RamFlag,
  RamState,
} from "../src/codec/ram/index.js";
import { decodeMappedBlock, encodeMappedBlock, mappedHeader } from "../src/codec/ram/mapped-area.js";
import {
  decodeCommand,
  decodeConfiguration,
  decodeFooter,
  decodeFullHeader,
  decodeHeader,
  DEFAULT_LIMITS,
  encodeCommand,
  encodeConfiguration,
  encodeFooter,
  encodeHeader,
  encodeSectionHeader,
  type Command,
  type Configuration,
} from "../src/codec/stream/index.js";
import { decodeReturnMessage, encodeReturnMessage, type ReturnMessage } from "../src/codec/stream/return-path.js";
import { parseVmDescription, printVmDescription } from "../src/codec/vmstate/index.js";

const u32 = fc.nat(0xffffffff);
const u64 = fc.bigInt(0n, 2n ** 64n - 1n);
const name = fc.array(fc.nat(255), { maxLength: 255, size: "small" }).map((codes) => String.fromCharCode(...codes));
const realName = name.filter((text) => text !== "");
const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
const page = bytes(1024);
const strict = (): Diagnostics => new Diagnostics();

/** One structure: how its values look, and its twins. `decode` answers the value and how many bytes it took. */
interface Codec<T> {
  readonly name: string;
  readonly value: fc.Arbitrary<T>;
  readonly encode: (value: T) => Uint8Array;
  readonly decode: (bytes: Uint8Array) => Promise<{ value: T; length: number }>;
  /** The byte that the caller of the decoder has looked at already. */
  readonly lead?: number | undefined;
}

/** A codec over the QEMUFile layer. */
function streamed<T>(
  what: string,
  value: fc.Arbitrary<T>,
  encode: (writer: QemuFileWriter, value: T) => void,
  decode: (reader: QemuFileReader) => T | Promise<T>,
  lead?: number,
): Codec<T> {
  return {
    lead,
    name: what,
    value,
    encode: (item) => written((writer) => encode(writer, item)),
    decode: async (input) => {
      const reader = QemuFileReader.over(input);
      const item = await decode(reader);
      return { value: item, length: reader.offset };
    },
  };
}

function written(write: (writer: QemuFileWriter) => void): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  write(writer);
  void writer.flush();
  return sink.bytes();
}

/** A codec of a structure of fixed length. */
function fixed<T>(
  what: string,
  value: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (bytes: Uint8Array) => T,
): Codec<T> {
  return {
    name: what,
    value,
    encode,
    decode: async (input) => ({ value: decode(input), length: encode(decode(input)).length }),
  };
}

const configuration: fc.Arbitrary<Configuration> = fc.record({
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
const command: fc.Arbitrary<Command> = fc.oneof(
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

const message: fc.Arbitrary<ReturnMessage> = fc.oneof(
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

const blockList = fc
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
const ramPacket = fc
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
const devicePacket = fc
  .tuple(fc.record({ magic: u32, version: u32, flags: u32, instanceId: u32, nextPacketSize: u32 }), packetName)
  .map(([fields, named]) => Object.assign(fields, named));
const initPacket = fc.record({
  magic: fc.constant(0x11223344),
  version: fc.constant(1),
  uuid: bytes(16),
  channel: fc.nat(255),
  unused: bytes(39),
});

const libvirtHeader = fc.record({
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

const records: fc.Arbitrary<Records> = fc
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
function encodeAll(writer: QemuFileWriter, { flags, blocks, offsets, bodies, end }: Records): void {
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

function decodeAll(reader: QemuFileReader): Records {
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

const qcow2: fc.Arbitrary<Qcow2Header> = fc.record({
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

const mapped = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 0, max: 40 })).chain(([pages, at]) =>
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

/** Fixed heads are handed whole to their decoders: the channel reader has waited for them. */
function padded(input: Uint8Array, length: number): Uint8Array {
  const whole = new Uint8Array(length);
  whole.set(input.subarray(0, length));
  return whole;
}

const seed = Number(new Date().toISOString().slice(0, 10).replaceAll("-", ""));
const settings = { seed, numRuns: 200 };

/** The three properties of one codec. */
function properties<T>(codec: Codec<T>): void {
  test(`${codec.name}: any value encodes and decodes to itself`, async (t) => {
    await fc.assert(
      fc.asyncProperty(codec.value, async (value) => {
        const encoded = codec.encode(value);
        const decoded = await codec.decode(encoded);
        return same(decoded.value, value) && decoded.length === encoded.length;
      }),
      settings,
    );
    t.pass(`${settings.numRuns} values, seed ${seed}`);
  });

  test(`${codec.name}: any bytes decode and encode to themselves, or are refused with an error of ours`, async (t) => {
    let refused = 0;
    const changed = fc
      .tuple(codec.value, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat(8))
      .map(([value, changes, cut]) => {
        const input = codec.encode(value).slice();
        for (const [at, byte] of changes) input[at % Math.max(1, input.length)] = byte;
        return cut === 0 ? input.subarray(0, input.length >> 1) : input;
      });
    await fc.assert(
      fc.asyncProperty(fc.oneof(changed, fc.uint8Array({ maxLength: 400 })), async (input) => {
        if (codec.lead !== undefined && input.length > 0) input[0] = codec.lead;
        try {
          const { value, length } = await codec.decode(input);
          const again = codec.encode(value);
          return again.length === length && again.subarray(0, input.length).every((byte, i) => byte === input[i]);
        } catch (error) {
          if (!(error instanceof QevmError)) throw error;
          refused++;
          return error.message.length > 0;
        }
      }),
      settings,
    );
    t.pass(`${settings.numRuns} inputs, ${refused} refused, seed ${seed}`);
  });
}

properties(streamed("header", fc.constant({ version: 3 }), encodeHeader, decodeHeader));
properties(
  streamed(
    "configuration",
    configuration,
    encodeConfiguration,
    (reader) => decodeConfiguration(reader, DEFAULT_LIMITS),
    0x07,
  ),
);
properties(
  streamed(
    "section header",
    fc.record({ type: fc.constant("full" as const), sectionId: u32, idstr: name, instanceId: u32, versionId: u32 }),
    encodeSectionHeader,
    async (reader) => ({ ...(await decodeFullHeader(reader, "full")), type: "full" as const }),
    0x04,
  ),
);
properties(streamed("section footer", u32, encodeFooter, decodeFooter, 0x7e));
properties(
  streamed("command", command, encodeCommand, (reader) => decodeCommand(reader, DEFAULT_LIMITS, strict()), 0x08),
);
properties(
  streamed("message of the return path", message, encodeReturnMessage, async (reader) => {
    const decoded = await decodeReturnMessage(reader);
    if (decoded === undefined) throw reader.error("truncated", "no message");
    return decoded;
  }),
);
properties(
  streamed("block list", blockList, encodeBlockList, async (reader) => {
    await reader.need(8, "total");
    const total = reader.length64("total") - RamFlag.MEM_SIZE;
    return await decodeBlockList(reader, total, {
      ignoreShared: false,
      mappedRam: false,
      pageSize: 1024,
      maxBlocks: 100,
    });
  }),
);
properties(streamed("RAM records", records, encodeAll, decodeAll));
properties(
  fixed("multifd init packet", initPacket, encodeInitPacket, (input) =>
    decodeInitPacket(padded(input, INIT_LENGTH), 0, []),
  ),
);
properties(
  fixed("multifd RAM packet", ramPacket, encodeRamPacket, (input) => decodeRamPacket(padded(input, 384), 65_536)),
);
properties(
  fixed("multifd device packet", devicePacket, encodeDevicePacket, (input) => decodeDevicePacket(padded(input, 276))),
);
properties(fixed("libvirt header", libvirtHeader, encodeLibvirtHeader, (input) => decodeLibvirtHeader(input)));
properties(
  fixed(
    "qcow2 header",
    qcow2,
    (header) => encodeQcow2Header(header).subarray(0, header.version === 2 ? 72 : 105),
    (input) => decodeQcow2Header(input),
  ),
);

test("block of a mapped-ram file: any bitmap encodes and decodes to itself", async (t) => {
  await fc.assert(
    fc.asyncProperty(mapped, async (value) => {
      const all = written((writer) => encodeMappedBlock(writer, value));
      const entry = 1 + 1 + 8 + 28;
      const reader = QemuFileReader.over(all.subarray(entry), Number(value.block.mapped.bitmapOffset));
      return same(
        await decodeMappedBlock(reader, value.block, value.block.mapped, 1024, DEFAULT_LIMITS, strict()),
        value,
      );
    }),
    settings,
  );
  t.pass(`seed ${seed}`);
});

test("page table of multifd: pages come back", (t) => {
  fc.assert(
    fc.property(fc.array(page, { maxLength: 5 }), (pages) => {
      const payload = encodePageTable(pages);
      return decodePageTable(payload, pages.length).length === pages.length;
    }),
    settings,
  );
  t.end();
});

test("VMDESCRIPTION: what was parsed prints to what parses to the same", (t) => {
  const word = fc.stringMatching(/^[\w.:/-]*$/u);
  const field = fc.record({
    name: word,
    type: fc.constantFrom("uint8", "int32", "buffer", "bool"),
    size: fc.nat(4096),
  });
  const device = fc.record({
    name: word,
    instanceId: u32,
    vmsdName: word,
    version: u32,
    fields: fc.array(field, { maxLength: 5 }),
  });
  fc.assert(
    fc.property(
      fc.array(device, { maxLength: 4 }),
      fc.constantFrom("compact" as const, "spaced" as const),
      (devices, style) => {
        const text = printVmDescription({ pageSize: 4096, devices, style, exact: true });
        const parsed = parseVmDescription(text);
        return parsed.exact && same(parsed.devices, devices) && printVmDescription(parsed) === text;
      },
    ),
    settings,
  );
  t.end();
});

/** Deep equality where bytes are bytes and an absent member is an undefined one. */
function same(a: unknown, b: unknown): boolean {
  return plain(a) === plain(b);
}

function plain(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) =>
    typeof item === "bigint" ? `${item}n` : item instanceof Uint8Array ? [...item] : sorted(item),
  );
}

function sorted(item: unknown): unknown {
  if (item === null || typeof item !== "object" || Array.isArray(item)) return item;
  return Object.fromEntries(Object.entries(item).toSorted(([x], [y]) => (x < y ? -1 : 1)));
}
