import type { QemuFileWriter } from "../../bytes/writer.js";
import type { ChannelItem } from "./channel-reader.js";
import { encodeDevicePacket } from "./device-packet.js";
import { encodeInitPacket } from "./init-packet.js";
import { encodeRamPacket } from "./ram-packet.js";

/** Encodes a channel item exactly as its fields are: the inverse of `ChannelReader`. */
export function encodeChannelItem(writer: QemuFileWriter, item: ChannelItem): void {
  switch (item.kind) {
    case "init":
      writer.bytes(encodeInitPacket(item.init));
      return;
    case "pages":
      writer.bytes(encodeRamPacket(item.packet));
      break;
    default:
      writer.bytes(encodeDevicePacket(item.packet));
  }
  writer.bytes(item.payload);
}
