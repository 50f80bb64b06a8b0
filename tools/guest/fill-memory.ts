/** Fills memory with guest-like contents: words, tables, noise, a fifth of it zero pages. */
export function fillMemory(bytes: Uint8Array, seed: number): void {
  let x = seed | 1;
  for (let page = 0; page < bytes.length / 4096; page++) {
    const at = page * 4096;
    const kind = page % 5;
    if (kind === 0) continue;
    for (let i = 0; i < 4096; i++) {
      x = (Math.imul(x, 1103515245) + 12345) & 0x7fffffff;
      bytes[at + i] = kind === 1 ? (x >> 16) & 0xff : kind === 2 ? (i >> 4) & 0xff : ((x >> 16) & 15) + 97;
    }
  }
}
