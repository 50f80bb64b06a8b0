/** Save files of Xen's tools, put together from Xen's specifications; shares no code with `src`. */

const word = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, at) => bytes.writeUInt32LE(value, 4 * at));
  return bytes;
};

const record = (type: number, body: Uint8Array): Buffer =>
  Buffer.concat([word(type, body.length), body, Buffer.alloc(-body.length & 7)]);

/** A libxc stream of an HVM guest with pages of zeros. */
function libxc(pages: number): Buffer {
  const marker = Buffer.alloc(8, 0xff);
  const head = Buffer.from("XENF\0\0\0\x03\0\0\0\0\0\0\0\0", "latin1");
  const domain = Buffer.concat([word(2), Buffer.from([12, 0, 0, 0]), word(4, 17)]);
  const page = (pfn: number): Buffer => record(1, Buffer.concat([word(1, 0), word(pfn, 0), Buffer.alloc(4096)]));
  const parameters = record(10, word(1, 0, 7, 0, 1, 0));
  const context = record(9, Buffer.alloc(13, 1));
  const parts = Array.from({ length: pages }, (_, pfn) => page(pfn));
  return Buffer.concat([marker, head, domain, record(16, word()), ...parts, parameters, context, record(0, word())]);
}

/** A libxl stream with the device model's state in it; undefined: none, as of a PV guest. */
export function libxlStream(state: Uint8Array | undefined, pages = 2): Buffer {
  const head = Buffer.from("LibxlFmt\0\0\0\x02\0\0\0\0", "latin1");
  const store = Buffer.concat([word(2, 0), Buffer.from("physmap/0/name\0vga\0", "latin1")]);
  return Buffer.concat([
    head,
    record(1, word()),
    libxc(pages),
    ...(state === undefined ? [] : [record(2, store), record(3, Buffer.concat([word(2, 0), state]))]),
    record(0, word()),
  ]);
}

/** The same as `xl save` writes it. */
export function xlSave(state: Uint8Array): Buffer {
  const config = Buffer.from('{"c_info":{"type":"hvm"}}', "latin1");
  const optional = Buffer.concat([word(config.length), config]);
  const head = Buffer.from("Xen saved domain, xl format\n \0 \r", "latin1");
  return Buffer.concat([head, word(0x01020304, 3, 0, optional.length), optional, libxlStream(state)]);
}

/** The same as libvirt's driver for Xen writes it. */
export function libvirtXenSave(state: Uint8Array): Buffer {
  const xml = Buffer.from("<domain type='xen'/>\0", "latin1");
  const head = Buffer.concat([Buffer.from("libvirt-xml\n \0 \r", "latin1"), word(2, xml.length), Buffer.alloc(40)]);
  return Buffer.concat([head, xml, libxlStream(state)]);
}

/** A device model's record, as Xen before 4.6 wrote it. */
export function deviceModelRecord(state: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("DeviceModelRecord0002", "latin1"), word(state.length), state]);
}
