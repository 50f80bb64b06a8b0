import { bytesOf, struct, u32be } from "../../bytes/layout.js";
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
  /** The bytes after the name's NUL; undefined where there is no NUL. */
  idstrRest: Uint8Array | undefined;
  instanceId: number;
  nextPacketSize: number;
}

export const DEVICE_PACKET_LAYOUT = struct({
  magic: u32be,
  version: u32be,
  flags: u32be,
  name: bytesOf(256),
  instanceId: u32be,
  nextPacketSize: u32be,
});

export const DEVICE_PACKET_LENGTH = DEVICE_PACKET_LAYOUT.size;

/** Decodes the head from its 276 bytes. */
export function decodeDevicePacket(bytes: Uint8Array): DevicePacket {
  const { name, ...fields } = DEVICE_PACKET_LAYOUT.decode(bytes);
  const { idstr, rest } = decodeName(name);
  return { ...fields, idstr, idstrRest: rest };
}

/** Encodes the head. */
export function encodeDevicePacket(packet: DevicePacket): Uint8Array {
  return DEVICE_PACKET_LAYOUT.encode({ ...packet, name: encodeName(packet.idstr, packet.idstrRest) });
}
