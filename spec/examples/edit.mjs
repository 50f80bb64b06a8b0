// Writes a stream again with another value of a device's field; everything else stays, byte for byte.
//
//   node edit.mjs FILE NEW
import { convertToFile } from "qevm/node";

const [file, out] = process.argv.slice(2);
const { streamLength } = await convertToFile(file, out, { values: [["cpu:env.eip", "0x7c00"]] });
console.log(`${streamLength.written} bytes`);
