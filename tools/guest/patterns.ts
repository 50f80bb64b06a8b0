/**
 * Two boot-sector guests that give memory a known content.
 *
 * | page index mod 16 | content written by the fill |
 * |---|---|
 * | 0-3 | untouched (zero) |
 * | 4-9 | each dword is the page's address |
 * | 10-14 | text-like: four-letter words from a table of eight |
 * | 15 | random-like: a linear congruential generator seeded by the address |
 *
 * The fill guest fills its regions and halts. The dirty guest fills its regions, then changes the groups below in an
 * endless loop:
 *
 * | group | pages | every round |
 * |---|---|---|
 * | few | 48 | one dword changes, at a place that moves slowly: small XBZRLE deltas |
 * | edges | 8 | first and last byte change |
 * | alternate | 32 | all zero in one round, text in the next |
 * | text | 24 | all words change |
 * | random | 6 | all bytes change |
 * | dense | 12 | every second byte changes: the XBZRLE delta overflows |
 * | same | 8 | rewritten with the same contents: dirty and unchanged |
 * | runs | 16 | 300 dwords in a row change: XBZRLE lengths of two bytes |
 *
 * Page 0 changes each round too (the round counter at 0x604).
 */
import { dword, Listing, protectedModeStart, readyAddress, readyMark } from "./listing.js";

/** Guest-physical bytes from `start` up to `end`, both page-aligned and below 4 GiB. */
export interface Region {
  readonly start: number;
  readonly end: number;
}

/** First byte of the dirty guest's groups. */
const dirtyBase = 0x200000;

/** The dirty guest's groups in address order: name and number of pages. */
const dirtyGroups = [
  ["few", 48],
  ["edges", 8],
  ["alternate", 32],
  ["text", 24],
  ["random", 6],
  ["dense", 12],
  ["same", 8],
  ["runs", 16],
] as const;

type GroupName = (typeof dirtyGroups)[number][0];

/** Fills the regions, sets the mark, halts. */
export function fillGuest(regions: readonly Region[]): Uint8Array {
  const code = protectedModeStart();
  callFills(code, regions);
  markReady(code).label("halt").op("hlt", 0xf4).to("jmp halt", "near8", "halt", 0xeb);
  return routines(code).bootSector();
}

/** Fills the regions, sets the mark, then dirties the groups from {@link dirtyBase} on in an endless loop. */
export function dirtyGuest(regions: readonly Region[]): Uint8Array {
  const code = protectedModeStart();
  callFills(code, regions);
  code.op("xor ebx, ebx", 0x31, 0xdb);
  markReady(code);
  code
    .label("round")
    .op("inc ebx", 0x43)
    .op("mov [0x604], ebx", 0x89, 0x1d, ...dword(readyAddress + 4));
  // Changing CR0.WP flushes QEMU's TLB. Without it the emulator up to 7.2 misses writes to pages whose dirty bit was
  // just cleared.
  code
    .op("mov eax, cr0", 0x0f, 0x20, 0xc0)
    .op("xor eax, 1 << 16", 0x35, ...dword(0x10000))
    .op("mov cr0, eax", 0x0f, 0x22, 0xc0);
  let start = dirtyBase;
  for (const [name, pages] of dirtyGroups) {
    const end = start + pages * 0x1000;
    if (name === dirtyGroups[0][0]) code.op("mov edi, start", 0xbf, ...dword(start));
    code.label(name);
    groupBody[name](code);
    code.op("cmp edi, end", 0x81, 0xff, ...dword(end)).to("jb group", "near8", name, 0x72);
    start = end;
  }
  code.to("jmp round", "near32", "round", 0xe9);
  return routines(code).bootSector();
}

/**
 * Fills the regions, sets the mark, then reads one dword of every page in an endless loop and writes nothing. After a
 * migration it finds the pages that were sent, and requests the missing ones.
 */
export function readingGuest(regions: readonly Region[]): Uint8Array {
  const code = protectedModeStart();
  callFills(code, regions);
  markReady(code).label("again");
  regions.forEach(({ start, end }, i) => {
    code
      .op("mov edi, start", 0xbf, ...dword(start))
      .label(`page ${i}`)
      .op("mov eax, [edi]", 0x8b, 0x07)
      .op("add edi, 0x1000", 0x81, 0xc7, ...dword(0x1000))
      .op("cmp edi, end", 0x81, 0xff, ...dword(end))
      .to("jb page", "near8", `page ${i}`, 0x72);
  });
  code.to("jmp again", "near32", "again", 0xe9);
  return routines(code).bootSector();
}

const nextPage = (code: Listing): Listing => code.op("add edi, 0x1000", 0x81, 0xc7, ...dword(0x1000));

/** Changes the page at edi; each body leaves edi at the next page. ebx is the round. */
const groupBody: Record<GroupName, (code: Listing) => Listing> = {
  few: (code) =>
    nextPage(
      code
        .op("mov ecx, ebx", 0x89, 0xd9)
        .op("shr ecx, 9", 0xc1, 0xe9, 9)
        .op("mov eax, edi", 0x89, 0xf8)
        .op("shr eax, 5", 0xc1, 0xe8, 5)
        .op("lea eax, [eax + ecx * 4]", 0x8d, 0x04, 0x88)
        .op("and eax, 0xffc", 0x25, ...dword(0xffc))
        .op("mov [edi + eax], ebx", 0x89, 0x1c, 0x07),
    ),
  edges: (code) =>
    nextPage(code.op("mov [edi], bl", 0x88, 0x1f).op("mov [edi + 0xfff], bl", 0x88, 0x9f, ...dword(0xfff))),
  alternate: (code) =>
    code
      .op("mov eax, edi", 0x89, 0xf8)
      .op("shr eax, 12", 0xc1, 0xe8, 12)
      .op("add eax, ebx", 0x01, 0xd8)
      .op("test al, 1", 0xa8, 1)
      .to("jz clear", "near8", "clear", 0x74)
      .to("call text", "near32", "text routine", 0xe8)
      .to("jmp next", "near8", "alternate next", 0xeb)
      .label("clear")
      .op("xor eax, eax", 0x31, 0xc0)
      .to("call store", "near32", "store", 0xe8)
      .label("alternate next"),
  text: (code) => code.to("call text", "near32", "text routine", 0xe8),
  random: (code) => code.to("call random", "near32", "random routine", 0xe8),
  dense: (code) =>
    code
      .op("mov ecx, 0x800", 0xb9, ...dword(0x800))
      .label("dense byte")
      .op("mov [edi], bl", 0x88, 0x1f)
      .op("inc edi; inc edi", 0x47, 0x47)
      .to("loop byte", "near8", "dense byte", 0xe2),
  same: (code) => nextPage(code.op("mov eax, [edi]", 0x8b, 0x07).op("mov [edi], eax", 0x89, 0x07)),
  runs: (code) =>
    nextPage(
      code
        .op("push edi", 0x57)
        .op("movzx eax, bl", 0x0f, 0xb6, 0xc3)
        .op("add edi, eax", 0x01, 0xc7)
        .op("mov eax, ebx", 0x89, 0xd8)
        .op("or eax, 0x01010101", 0x0d, ...dword(0x01010101))
        .op("mov ecx, 300", 0xb9, ...dword(300))
        .op("rep stosd", 0xf3, 0xab)
        .op("pop edi", 0x5f),
    ),
};

function callFills(code: Listing, regions: readonly Region[]): void {
  code.op("xor ebx, ebx", 0x31, 0xdb);
  for (const { start, end } of regions) {
    code.op("mov edi, start", 0xbf, ...dword(start)).op("mov ebp, end", 0xbd, ...dword(end));
    code.to("call fill", "near32", "fill", 0xe8);
  }
}

function markReady(code: Listing): Listing {
  return code.op("mov dword [0x600], mark", 0xc7, 0x05, ...dword(readyAddress), ...dword(readyMark));
}

/** fill (edi to ebp); text, random and store fill the page at edi and leave edi after it. */
function routines(code: Listing): Listing {
  return code
    .label("fill")
    .op("mov eax, edi", 0x89, 0xf8)
    .op("shr eax, 12", 0xc1, 0xe8, 12)
    .op("and al, 15", 0x24, 15)
    .op("cmp al, 15", 0x3c, 15)
    .to("je fill random", "near8", "fill random", 0x74)
    .op("cmp al, 10", 0x3c, 10)
    .to("jae fill text", "near8", "fill text", 0x73)
    .op("cmp al, 4", 0x3c, 4)
    .to("jae fill address", "near8", "fill address", 0x73)
    .op("add edi, 0x1000", 0x81, 0xc7, ...dword(0x1000))
    .to("jmp fill next", "near8", "fill next", 0xeb)
    .label("fill random")
    .to("call random", "near32", "random routine", 0xe8)
    .to("jmp fill next", "near8", "fill next", 0xeb)
    .label("fill text")
    .to("call text", "near32", "text routine", 0xe8)
    .to("jmp fill next", "near8", "fill next", 0xeb)
    .label("fill address")
    .op("mov eax, edi", 0x89, 0xf8)
    .to("call store", "near32", "store", 0xe8)
    .label("fill next")
    .op("cmp edi, ebp", 0x39, 0xef)
    .to("jb fill", "near8", "fill", 0x72)
    .op("ret", 0xc3)
    .label("text routine")
    .op("mov ecx, 0x400", 0xb9, ...dword(0x400))
    .label("text dword")
    .op("lea eax, [ecx + ebx]", 0x8d, 0x04, 0x19)
    .op("xor al, ch", 0x30, 0xe8)
    .op("and eax, 7", 0x83, 0xe0, 7)
    .to("mov eax, [words + eax * 4]", "absolute32", "words", 0x8b, 0x04, 0x85)
    .op("stosd", 0xab)
    .to("loop dword", "near8", "text dword", 0xe2)
    .op("ret", 0xc3)
    .label("random routine")
    .op("lea eax, [edi + ebx * 8 + 1]", 0x8d, 0x44, 0xdf, 1)
    .op("mov ecx, 0x400", 0xb9, ...dword(0x400))
    .label("random dword")
    .op("imul eax, eax, 1664525", 0x69, 0xc0, ...dword(1_664_525))
    .op("add eax, 1013904223", 0x05, ...dword(1_013_904_223))
    .op("stosd", 0xab)
    .to("loop dword", "near8", "random dword", 0xe2)
    .op("ret", 0xc3)
    .label("store")
    .op("mov ecx, 0x400", 0xb9, ...dword(0x400))
    .op("rep stosd", 0xf3, 0xab)
    .op("ret", 0xc3)
    .label("words")
    .op("eight words", ...new TextEncoder().encode("the quick brown fox jumps again "));
}
