/** Small catalogues and streams, to try the one on the other. */
import { parseVmDescription } from "../../src/codec/vmstate/index.js";
import { Catalogue, Learner } from "../../src/codec/vmstate/catalogue/index.js";
import { fromHex } from "./bytes.js";

export const word = (value: number): string => value.toString(16).padStart(8, "0");
export const ascii = (text: string): string => Buffer.from(text, "latin1").toString("hex");
export const section = (id: number, name: string, payload: string): string =>
  `04 ${word(id)} ${word(name.length).slice(6)} ${ascii(name)} 00000000 00000001 ${payload} 7e ${word(id)}`;
export const stream = (...sections: string[]): Uint8Array => fromHex(`5145564d 00000003 ${sections.join(" ")} 00`);
export const field = (name: string, type: string, size: number, more = {}) => ({ name, ...more, type, size });

/** A catalogue of devices `a/b` ...: each with an origin and its fields. */
export function learnt(...devices: [name: string, origin: string, fields: object[]][]): Catalogue {
  const learner = new Learner();
  for (const [name, origin, fields] of devices) {
    const device = { name, instance_id: 0, vmsd_name: name, version: 1, fields };
    const text = JSON.stringify({ page_size: 4096, devices: [device] });
    learner.add(parseVmDescription(text).devices[0]!, origin);
  }
  return new Catalogue(learner.data());
}
