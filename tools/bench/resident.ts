import { spawnSync } from "node:child_process";
import { freemem } from "node:os";
import { HUGE_PAGES } from "../environment.mjs";

const PIECE = 1 << 28;

/**
 * Makes `bytes` of this machine's free memory resident (of half of it, at most), in a process that exits at once. The
 * host of a virtual machine reclaims free memory, and the first access then waits for the host: 2.7 to 8 s per gibibyte
 * where this was measured, which belongs to neither side. In huge pages, so that they are there for both sides (a
 * kernel that has to move other memory first takes seconds for it), and so that it is quick: in small ones it takes 4.5
 * s per gibibyte on machines whose page tables are expensive.
 */
export function makeResident(bytes: number): void {
  const pieces = Math.ceil(Math.min(bytes, freemem() / 2) / PIECE);
  const work = `const all = []; for (let i = 0; i < ${pieces}; i++) all.push(Buffer.alloc(${PIECE}, 1));`;
  spawnSync(process.execPath, ["-e", work], { env: { ...process.env, ...HUGE_PAGES } });
}
