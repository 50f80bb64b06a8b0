// Prints where a text is in a guest's memory: its RAM block and offset.
//
//   node strings.mjs FILE TEXT
import { openMemory } from "qevm/node";

const [file, text] = process.argv.slice(2);
const wanted = Buffer.from(text);
const PIECE = 1 << 20;

const memory = await openMemory(file);
for (const { name, length } of memory.blocks) {
  for (let offset = 0; offset < length; offset += PIECE) {
    // Pieces overlap, so that no place is missed between two.
    const piece = await memory.readBlock(name, offset, Math.min(PIECE + wanted.length - 1, length - offset));
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    for (let at = bytes.indexOf(wanted); at >= 0 && at < PIECE; at = bytes.indexOf(wanted, at + 1))
      console.log(`${name} 0x${(offset + at).toString(16)}`);
  }
}
await memory.close();
