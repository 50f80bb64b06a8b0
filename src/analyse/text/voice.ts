/** How much a run says: `--quiet`, `--verbose`; set when a command line is parsed. */
interface Voice {
  quiet: boolean;
  verbose: boolean;
}

export const voice: Voice = { quiet: false, verbose: false };

/** How many lines of a list are printed: all with `--verbose`. */
export function most(usual: number): number {
  return voice.verbose ? Infinity : usual;
}
