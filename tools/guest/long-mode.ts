/**
 * A boot sector that enters long mode and halts with known registers: r8, r15, rbx, FS base and KERNEL_GS_BASE have
 * distinct values. Assembled once by GNU as. It maps one 2 MiB page with tables at 0x1000 to 0x3fff, sets CR4.PAE,
 * EFER.LME and CR0.PG, loads a GDT and jumps.
 */
export function longModeGuest(): Uint8Array {
  const sector = Buffer.alloc(512);
  Buffer.from(CODE.join(""), "hex").copy(sector);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

const CODE: readonly string[] = [
  "fa31c08ed88ec08ed0bc007cea117c0000fcbf00106631c0b9000c66f3ab66c70600100320000066c70600200330000066c70600308300",
  "00000f20e06683c8200f22e066b8001000000f22d866b9800000c00f32660d000100000f30660f0116f07c0f20c0660d010000800f22c0",
  "66ea767c00000800b8100000008ed88ed031c08ee0b9000100c0b878563412ba7f0000000f30b9020100c0b8f0debc9aba8088ffff0f30",
  "49b8112233445566778849bf1032547698badcfe48bb0807060504030201c704250406000072656479f4ebfd0f1f800000000000000000",
  "00000000ffff0000009aaf00ffff00000092cf001700d87c",
];
