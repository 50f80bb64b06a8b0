import { spawnSync } from "node:child_process";

const PIECE = 1 << 28;

/** What makes glibc (2.35 and later) ask for huge pages, for a process that is started with it. */
export const HUGE_PAGES = { GLIBC_TUNABLES: "glibc.malloc.hugetlb=1" };

/**
 * Makes `gibibytes` of this machine's free memory resident, in a process that exits at once. The host of a virtual
 * machine reclaims free memory, and the first access then waits for the host: 2.7 s per gibibyte where this was
 * measured, which belongs to neither side. In huge pages, so that they are there for both sides: a kernel that has to move
 * other memory first takes seconds for it.
 */
export function makeResident(gibibytes: number): void {
  const pieces = (gibibytes * 2 ** 30) / PIECE;
  const work = `const all = []; for (let i = 0; i < ${pieces}; i++) all.push(Buffer.alloc(${PIECE}, 1));`;
  spawnSync(process.execPath, ["-e", work], { env: { ...process.env, ...HUGE_PAGES } });
}
