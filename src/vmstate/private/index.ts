import { QevmError } from "../../errors.js";
import { MemorySink, QemuFileReader, QemuFileWriter } from "../../qemu-file/index.js";
import type { RecordValue } from "../state.js";
import { msixState, pciConfig, pciIrqState, shpc } from "./pci.js";
import { decodeRecord, encodeRecord, type PrivateCodec } from "./walk.js";

/** The device-private codecs that this library knows, by the type they have in the description. */
const CODECS = new Map<string, PrivateCodec>([
  ["pci config", pciConfig],
  ["pci irq state", pciIrqState],
  ["msix state", msixState],
  ["shpc", shpc],
]);

export function privateCodec(type: string): PrivateCodec | undefined {
  return CODECS.get(type);
}

/**
 * Decodes the bytes of a private field, or answers undefined where the codec does not fit them exactly (another
 * version of QEMU, another device): the field then stays named bytes.
 */
export function tryRecord(codec: PrivateCodec, bytes: Uint8Array): RecordValue | undefined {
  try {
    const value = decodeRecord(QemuFileReader.over(bytes), codec);
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink, bytes.length);
    encodeRecord(writer, codec, bytes.length, value, []);
    void writer.flush();
    return same(sink.bytes(), bytes) ? value : undefined;
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
