/**
 * True when every byte is zero. Reads words where the page is aligned to four bytes, as pages in a batch are. A page
 * with data is usually recognised by its first bytes.
 */
export function isZeroPage(page: Uint8Array): boolean {
  let at = 0;
  if ((page.byteOffset & 3) === 0) {
    const words = new Int32Array(page.buffer, page.byteOffset, page.length >>> 2);
    const whole = words.length & ~7;
    let word = 0;
    for (; word < whole; word += 8) {
      const any =
        words[word]! |
        words[word + 1]! |
        words[word + 2]! |
        words[word + 3]! |
        words[word + 4]! |
        words[word + 5]! |
        words[word + 6]! |
        words[word + 7]!;
      if (any !== 0) return false;
    }
    at = word * 4;
  }
  for (; at < page.length; at++) if (page[at] !== 0) return false;
  return true;
}
