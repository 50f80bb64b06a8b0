/** Origins of a catalogue: `x86_64 7.2`, a target and a release of QEMU. Sets of them are bits, by index. */

/** An origin, or a machine type, by its parts. */
export interface Origin {
  readonly target: string;
  /** To compare: `7.2` is 702. */
  readonly release: number | undefined;
  readonly bit: bigint;
}

export function originsOf(names: readonly string[]): Origin[] {
  return names.map((name, index) => {
    const [, target = name, release] = /^(\S+) (\d+\.\d+)$/u.exec(name) ?? [];
    const bit = 1n << BigInt(index);
    return { target, release: release === undefined ? undefined : releaseOf(` ${release}`), bit };
  });
}

/** The release at the end of a name, as a number to compare. */
export function releaseOf(name: string | undefined): number | undefined {
  const [, major, minor] = /[- ](\d{1,2})\.(\d{1,2})$/u.exec(name ?? "") ?? [];
  return major === undefined ? undefined : Number(major) * 100 + Number(minor);
}

/**
 * What is known of a section: the origins that have a layout that fits it, those that may have it, and those that have
 * the device at all.
 */
export interface Evidence {
  readonly has: bigint;
  readonly may: bigint;
  readonly knows: bigint;
}

/** Who may have written a stream. */
export interface Writers {
  readonly possible: bigint;
  /** A QEMU that is not in the catalogue may have what these have. */
  readonly near: bigint;
}

/**
 * Origins that neither the machine type nor a section rules out. Those that a section rules out which they may have are
 * near. Where all are ruled out (a QEMU that the catalogue does
 * not have, or a layout that it was not seen to have): those that have the most sections, and every release of their
 * targets is near.
 */
export function writersOf(
  names: readonly string[],
  sections: readonly Evidence[],
  machine: string | undefined,
): Writers {
  const least = releaseOf(machine);
  const origins = originsOf(names);
  const young = origins.filter(({ release }) => least === undefined || release === undefined || release >= least);
  const counted = sections.filter(({ has }) => has !== 0n);
  const left = young.filter(({ bit }) => counted.every(({ has, knows }) => (has & bit) !== 0n || (knows & bit) === 0n));
  const known = counted.reduce((bits, { knows }) => bits | knows, 0n);
  // Targets without any of these devices contradict nothing.
  if (counted.length === 0 || left.some(({ bit }) => (bit & known) !== 0n)) {
    const possible = union(left);
    const may = young.filter(({ bit }) => counted.every((of) => ((of.has | of.may | ~of.knows) & bit) !== 0n));
    const near = possible | union(may);
    return { possible, near: near | neighbours(origins, near, least ?? 0) };
  }
  const scores = young.map(({ bit }) => counted.filter(({ has }) => (has & bit) !== 0n).length);
  const most = Math.max(...scores);
  const best = young.filter((_, at) => scores[at] === most);
  const targets = new Set(best.map(({ target }) => target));
  return { possible: union(best), near: union(origins.filter(({ target }) => targets.has(target))) };
}

function union(origins: readonly Origin[]): bigint {
  return origins.reduce((bits, { bit }) => bits | bit, 0n);
}

/**
 * Releases of the catalogue next to the possible ones of the same target, as bits: a QEMU between the two may have the
 * fields of either. One that the machine type rules out with a later one that is not later than it does not count.
 */
function neighbours(known: readonly Origin[], possible: bigint, least: number): bigint {
  let found = 0n;
  for (const target of new Set(known.map((one) => one.target))) {
    const all = known.filter((one) => one.target === target && one.release !== undefined);
    const releases = all.filter(({ bit }) => (bit & possible) !== 0n).map(({ release }) => release!);
    if (releases.length === 0) continue;
    const [lowest, highest] = [Math.min(...releases), Math.max(...releases)];
    const older = Math.max(...all.map(({ release }) => release!).filter((release) => release < lowest));
    const newer = Math.min(...all.map(({ release }) => release!).filter((release) => release > highest));
    const isPast = all.some(({ release }) => release! > older && release! <= least);
    for (const { release, bit } of all) {
      if (release === newer || (release === older && !isPast)) found |= bit;
    }
  }
  return found;
}
