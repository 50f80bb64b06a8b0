import test from "tape";
import { isZero } from "../src/bytes/zero.js";

test("zeros are told from data at every place and alignment", (t) => {
  const bytes = new Uint8Array(200);
  const wrong: string[] = [];
  for (let from = 0; from < 9; from++) {
    for (let length = 0; length < 80; length++) {
      const end = from + length;
      const view = bytes.subarray(from, end);
      if (!isZero(view) || !isZero(bytes, from, end)) wrong.push(`zeros from ${from} to ${end}`);
      bytes[from - 1] = 1;
      bytes[end] = 1;
      if (!isZero(view) || !isZero(bytes, from, end)) wrong.push(`${from} to ${end} with data around`);
      for (let at = from; at < end; at++) {
        bytes[at] = 0x80;
        if (isZero(view) || isZero(bytes, from, end)) wrong.push(`${from} to ${end}: byte ${at} overlooked`);
        bytes[at] = 0;
      }
      bytes.fill(0);
    }
  }
  t.deepEqual(wrong, []);
  t.ok(isZero(bytes.subarray(7, 7)), "nothing is zeros");
  t.end();
});
