import { Parser } from "binary-parser";
import { decodeName, encodeName } from "./ram-packet.js";

/**
 * The head of a packet of device state (VFIO): 276 bytes, big-endian, from 10.0 on.
 *
 * | offset | size | field                                            |
 * | ------ | ---- | ------------------------------------------------ |
 * | 0      | be32 | magic `0x11223344`                               |
 * | 4      | be32 | version 1                                        |
 * | 8      | be32 | flags: DEVICE_STATE alone                        |
 * | 12     | 256  | idstr of the section, NUL                        |
 * | 268    | be32 | instance_id                                      |
 * | 272    | be32 | next_packet_size: bytes of state that follow     |
 *
 * Source: QEMU migration/multifd.h MultiFDPacketDeviceState_t, 10.0 to 11.1.
 */
export interface DevicePacket {
  magic: number;
  version: number;
  flags: number;
  idstr: string;
  /** What stands behind the name's NUL; undefined where there is no NUL. */
  idstrRest: Uint8Array | undefined;
  instanceId: number;
  nextPacketSize: number;
}

export const DEVICE_PACKET_LENGTH = 276;

const layout = new Parser()
  .endianness("big")
  .uint32("magic")
  .uint32("version")
  .uint32("flags")
  .buffer("name", { length: 256 })
  .uint32("instanceId")
  .uint32("nextPacketSize");

/** Decodes the head; `bytes` are its 276. */
export function decodeDevicePacket(bytes: Uint8Array): DevicePacket {
  const { name, ...fields } = layout.parse<Omit<DevicePacket, "idstr" | "idstrRest"> & { name: Uint8Array }>(bytes);
  const { idstr, rest } = decodeName(name);
  return { ...fields, idstr, idstrRest: rest };
}

/** Encodes the head. */
export function encodeDevicePacket(packet: DevicePacket): Uint8Array {
  const bytes = new Uint8Array(DEVICE_PACKET_LENGTH);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, packet.magic);
  view.setUint32(4, packet.version);
  view.setUint32(8, packet.flags);
  encodeName(bytes.subarray(12, 268), packet.idstr, packet.idstrRest);
  view.setUint32(268, packet.instanceId);
  view.setUint32(272, packet.nextPacketSize);
  return bytes;
}
