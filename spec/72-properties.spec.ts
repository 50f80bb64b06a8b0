/** Every structure by arbitrary values: decode undoes encode, and any bytes are refused or come back. */
import * as fc from "fast-check";
import test from "tape";
import { decodeLibvirtHeader, encodeLibvirtHeader } from "../src/io/container/libvirt/header.js";
import { decodeQcow2Header, encodeQcow2Header } from "../src/io/container/qcow2/header.js";
import { QevmError } from "../src/bytes/errors.js";
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
import { decodeBlockList, encodeBlockList, RamFlag } from "../src/codec/ram/index.js";
import { decodeMappedBlock, encodeMappedBlock } from "../src/codec/ram/mapped-area.js";
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
} from "../src/codec/stream/index.js";
import { decodeReturnMessage, encodeReturnMessage } from "../src/codec/stream/return-path.js";
import { parseVmDescription, printVmDescription } from "../src/codec/vmstate/index.js";
import {
  blockList,
  command,
  configuration,
  decodeAll,
  devicePacket,
  encodeAll,
  initPacket,
  libvirtHeader,
  mapped,
  message,
  name,
  page,
  qcow2,
  ramPacket,
  records,
  strict,
  u32,
} from "./support/arbitraries.js";

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
