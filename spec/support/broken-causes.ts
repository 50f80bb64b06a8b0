/** The cause of each breakage, by its name in the table; 11.1 and 10.0 may have another. */
const BROKEN_CAUSES: Readonly<Record<string, string | Record<string, string>>> = {
  magic: "not-a-stream",
  "version 2": "old-stream",
  "version 4": "stream-version",
  "nothing after the header": "configuration-missing",
  machine: "machine-type",
  "unknown section type": "unknown-section-type",
  "unknown section name": "unknown-section",
  "unknown section instance": "unknown-section",
  "section version too new": "section-version",
  "section version too old": "loading",
  "unknown block": "unknown-block",
  "block length": "block-size",
  "footer of another section": "footer-mismatch",
  "no footer": "footer-missing",
  "unknown section id": "unknown-section-id",
  "page of unknown block": "page-block",
  "page outside its block": "page-offset",
  "page of no block": "page-no-block",
  "unknown page flags": "page-flags",
  "page flags together": "page-flags",
  "compressed page": { "5.2": "compressed-page", "7.2": "compressed-page", "10.0": "page-flags", "11.1": "page-flags" },
  "compressed page of wrong length": "compressed-length",
  "xbzrle page with wrong header": "xbzrle",
  "fill byte other than zero": "fill",
  "device version too new": "section-version",
  "device shorter than its fields": "footer-missing",
  "unknown subsection": { "5.2": "loading", "7.2": "loading", "10.0": "loading", "11.1": "subsection" },
  "command without number": "unknown-command",
  "unknown command": "unknown-command",
  "command of wrong length": "command-length",
  "page sizes of postcopy": "postcopy-ram-pages",
  "target page size of postcopy": "postcopy-target-pages",
  "postcopy without its capability": "postcopy-capability",
  "ends inside a page record": { "5.2": "page-flags", "7.2": "page-flags", "10.0": "pages-end", "11.1": "pages-end" },
  "ends inside a device": { "5.2": "field", "7.2": "field", "10.0": "field", "11.1": "loading" },
  "ends before EOF": "load-failed",
};

export function brokenCause(name: string, version: string): string | undefined {
  const cause = BROKEN_CAUSES[name];
  return typeof cause === "string" ? cause : cause?.[version];
}
