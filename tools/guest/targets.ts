/** Guests of a few instructions for other targets, written by hand: each does one thing, sets its mark and loops. */

/** The address and value that such a guest writes when it is done. */
export const targetMark = { address: 0x4000, value: 0x4d41 } as const;

/** Pages whose storage keys {@link storageKeyGuest} sets: page i gets 0x50 + 16 i. */
export const storageKeyPages = 64;

/** s390: firmware (`-bios`) that begins at 0x9000 and sets storage keys with SSKE. */
export function storageKeyGuest(): Uint8Array {
  return Buffer.from(
    [
      "41200050", // la   r2,0x50
      "a7390000", // lghi r3,0
      "a7490040", // lghi r4,64
      "b22b0023", // sske r2,r3
      "a73b1000", // aghi r3,4096
      "a72a0010", // ahi  r2,16
      "a746fffa", // brct r4,sske
      "a7584d41", // lhi  r5,0x4d41
      "a7694000", // lghi r6,0x4000
      "50506000", // st   r5,0(r6)
      "0440", // spm  r4: QEMU loses a condition code that it has not computed yet
      "a7f40000", // j    itself
    ].join(""),
    "hex",
  );
}

/**
 * Number of entries that {@link hashTableGuest} makes: number i maps page 3 i and is requested at 3 i (the hypervisor
 * takes the first free one of eight).
 */
export const hashTableEntries = 64;

/** ppc64, pseries: firmware (`-bios`) that begins at 0x100 and fills the hash page table by H_ENTER. */
export function hashTableGuest(): Uint8Array {
  const code = [
    0x3bc00040, // li     r30,64
    0x3ba00000, // li     r29,0
    0x38600008, // li     r3,8 (H_ENTER)
    0x38800000, // li     r4,0
    0x7fa5eb78, // mr     r5,r29
    0x57a66026, // rlwinm r6,r29,12,0,19
    0x60c60001, // ori    r6,r6,1 (valid)
    0x57a76026, // rlwinm r7,r29,12,0,19
    0x60e70012, // ori    r7,r7,0x12 (memory, read and write)
    0x44000022, // sc     1
    0x3bbd0003, // addi   r29,r29,3
    0x3bdeffff, // addi   r30,r30,-1
    0x2c1e0000, // cmpwi  r30,0
    0x4082ffd4, // bne    li r3
    0x39004d41, // li     r8,0x4d41
    0x39204000, // li     r9,0x4000
    0x91090000, // stw    r8,0(r9)
    0x48000000, // b      itself
  ];
  const image = Buffer.alloc(0x200);
  code.forEach((word, i) => image.writeUInt32BE(word, 0x100 + 4 * i));
  return image;
}

/** Guest-physical address of the process table that {@link radixGuest} registers: 4096 entries of 16 bytes. */
export const radixTable = 0x30_0000;

/** ppc64, pseries: firmware (`-bios`) that begins at 0x100 and registers a radix process table by H_REGISTER_PROC_TBL. */
export function radixGuest(): Uint8Array {
  const code = [
    0x3860037c, // li     r3,0x37c (H_REGISTER_PROC_TBL)
    0x3880001d, // li     r4,0x1d (modify, register, radix, GTSE)
    0x3ca00030, // lis    r5,0x30 (the table)
    0x38c00000, // li     r6,0
    0x38e00004, // li     r7,4 (2^(12 + 4) bytes)
    0x44000022, // sc     1
    0x2c230000, // cmpdi  r3,0
    0x40820000, // bne    itself
    0x39004d41, // li     r8,0x4d41
    0x39204000, // li     r9,0x4000
    0x91090000, // stw    r8,0(r9)
    0x48000000, // b      itself
  ];
  const image = Buffer.alloc(0x200);
  code.forEach((word, i) => image.writeUInt32BE(word, 0x100 + 4 * i));
  return image;
}
