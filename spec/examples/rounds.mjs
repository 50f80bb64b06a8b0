// Counts the pages of each round of a live migration: a page that is sent again was written by the guest.
//
//   node rounds.mjs FILE
import { openStream } from "qevm";

const seen = new Map();
let [first, again, zero] = [0, 0, 0];
const stream = await openStream(process.argv[2]);
for await (const item of stream) {
  if (item.kind !== "section" || item.content.kind !== "ram") continue;
  for await (const batch of item.records()) {
    for (const record of batch) {
      if (record.block === undefined) continue;
      const pages = seen.get(record.block) ?? new Set();
      seen.set(record.block, pages);
      if (record.encoding === "zero") zero++;
      if (pages.has(record.offset)) again++;
      else first++;
      pages.add(record.offset);
    }
  }
}
console.log(`${first} pages, ${again} sent again, ${zero} zero`);
