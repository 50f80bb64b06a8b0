// Prints registers of the first CPU, whatever container the file is.
//
//   node registers.mjs FILE
import { openStream } from "qevm";

const stream = await openStream(process.argv[2]);
const { fields } = await stream.device("cpu");
for (const name of ["env.eip", "env.eflags", "env.cr[0]", "env.cr[3]"]) {
  // 32-bit values are numbers, 64-bit ones bigints.
  console.log(`${name} 0x${BigInt(fields[name]).toString(16)}`);
}
await stream.close();
