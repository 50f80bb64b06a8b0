/**
 * What `npm run test:fast` runs while one works: chapters of every layer that take at most four seconds, without a real
 * QEMU. `npm test` has the last word.
 */
export const FAST = new RegExp(
  String.raw`^(?:00-(?:architecture|package)|01-.*|02-framing|03-ram|05-xbzrle|06-engine|08-vmstate(?:-(?!captures).*)?|` +
    String.raw`12-(?:completions|habits)|14-memory-bounds|20-corpus|34-receive-strangers|40-ring|51-multifd|53-commands|` +
    String.raw`56-return-path|60-(?:blocks|recognised)|61-(?:block-files|file-names|layout|page-bits|page-decoder|raw|registers)|` +
    String.raw`71-bounds-inputs|72-properties|80-diff-(?:devices|filter)|81-explain-(?:logs|machines)|` +
    String.raw`90-adapt-(?:arm|features|field|hpet|library|pci|rules))\.spec\.js$`,
  "u",
);
