/** Files as an initial file system of Linux: cpio's "newc" format. */

interface CpioFile {
  readonly name: string;
  readonly mode: number;
  /** Empty for folders. */
  readonly content: Uint8Array;
}

/** The archive. Source: Linux, Documentation/driver-api/early-userspace/buffer-format.rst. */
export function cpio(files: readonly CpioFile[]): Buffer {
  const pieces: Uint8Array[] = [];
  const last = { name: "TRAILER!!!", mode: 0, content: new Uint8Array(0) };
  for (const [k, { name, mode, content }] of [...files, last].entries()) {
    const fields = [k + 1, mode, 0, 0, 1, 0, content.length, 0, 0, 0, 0, name.length + 1, 0];
    const head = `070701${fields.map((value) => value.toString(16).padStart(8, "0")).join("")}${name}\0`;
    pieces.push(padded(Buffer.from(head, "latin1")), padded(content));
  }
  return Buffer.concat(pieces);
}

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
  whole.set(bytes);
  return whole;
}
