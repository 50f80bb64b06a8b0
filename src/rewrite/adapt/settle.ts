import { QevmError } from "../../bytes/errors.js";
import { groupedBy } from "./grouped.js";
import type { PlacedDevice } from "./objects.js";
import type { Change, PlacedSetting } from "./types.js";

/** What is asked of a destination again and again, until no property of it helps any more. */
export interface Asked {
  /** The PCI devices that it has. */
  readonly devices: readonly PlacedDevice[];
}

/** A destination with the properties that the guest needs. */
interface Settled<T> {
  readonly asked: T;
  /** Arguments that set them. */
  readonly args: readonly string[];
}

/** How many times a destination is asked: one property may uncover the next. */
const MOST_ROUNDS = 6;

/** The properties that would settle differences. */
export function settingsOf(changes: readonly Change[]): PlacedSetting[] {
  const found = new Map<string, PlacedSetting>();
  for (const { setting } of changes) if (setting !== undefined) found.set(keyOf(setting), setting);
  return [...found.values()];
}

/**
 * Sets those properties of the destination's devices that settle a difference, and asks again. What does not help, or
 * does not let this QEMU start, is taken back. Errors: those of the first `ask`.
 * @param ask starts the destination with more arguments
 * @param wants what properties would still settle; `apart` are devices that no argument reaches alone
 */
export async function settle<T extends Asked>(
  ask: (args: readonly string[]) => Promise<T>,
  wants: (asked: T, apart: ReadonlySet<string>) => Promise<readonly PlacedSetting[]>,
): Promise<Settled<T> & { apart: ReadonlySet<string> }> {
  let asked = await ask([]);
  let given: readonly PlacedSetting[] = [];
  const useless = new Set<string>();
  const apart = new Set<string>();
  const { devices } = asked;
  const argumentsOf = (settings: readonly PlacedSetting[]): string[] => settingArguments(settings, devices).args;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const wanted = await wants(asked, apart);
    const again = given.filter((one) => wanted.some((other) => keyOf(other) === keyOf(one)));
    for (const one of again) useless.add(keyOf(one));
    const kept = given.filter((one) => !useless.has(keyOf(one)));
    const fresh = wanted.filter((one) => !useless.has(keyOf(one)));
    const { alone } = settingArguments([...kept, ...fresh], devices);
    for (const one of alone) {
      useless.add(keyOf(one));
      apart.add(placeKey(one));
    }
    const next = [...kept, ...fresh].filter((one) => !alone.includes(one));
    if (argumentsOf(next).join(" ") === argumentsOf(given).join(" ")) break;
    const started = await startedWith(ask, argumentsOf, kept, next);
    for (const one of next) if (!started.given.includes(one)) useless.add(keyOf(one));
    given = started.given;
    if (started.asked === undefined) break;
    asked = started.asked;
  }
  return { asked, args: argumentsOf(given), apart };
}

/** Starts with all settings; where QEMU does not start so, with those that it starts with. */
async function startedWith<T>(
  ask: (args: readonly string[]) => Promise<T>,
  argumentsOf: (settings: readonly PlacedSetting[]) => string[],
  kept: readonly PlacedSetting[],
  all: readonly PlacedSetting[],
): Promise<{ asked: T | undefined; given: readonly PlacedSetting[] }> {
  let given = all;
  try {
    return { asked: await ask(argumentsOf(all)), given };
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
  }
  given = kept;
  let asked: T | undefined;
  for (const one of all.filter((each) => !kept.includes(each))) {
    try {
      asked = await ask(argumentsOf([...given, one]));
      given = [...given, one];
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      asked = undefined;
    }
  }
  return { asked: asked ?? (await ask(argumentsOf(given))), given };
}

/**
 * Arguments that set properties: `-global` for all devices of a type, and `-set` by their ids for those that need
 * another value; it counts more. Source: system/vl.c `qemu_set_option` (5.2 to 11.1).
 */
export function settingArguments(
  settings: readonly PlacedSetting[],
  devices: readonly PlacedDevice[],
): { args: string[]; alone: PlacedSetting[] } {
  const args: string[] = [];
  const alone: PlacedSetting[] = [];
  const deviceAt = new Map(devices.map((device) => [device.place, device]));
  const group = ({ place, property }: PlacedSetting): string => `${deviceAt.get(place)?.type ?? ""}.${property}`;
  for (const [name, all] of groupedBy(settings, group)) {
    const idOf = ({ place }: PlacedSetting): string | undefined => deviceAt.get(place)?.id;
    const common = (all.find((one) => idOf(one) === undefined) ?? all[0]!).value;
    if (name.startsWith(".")) {
      alone.push(...all);
      continue;
    }
    args.push("-global", `${name}=${common}`);
    for (const one of all) {
      if (one.value === common) continue;
      const id = idOf(one);
      if (id === undefined) alone.push(one);
      else args.push("-set", `device.${id}.${one.property}=${one.value}`);
    }
  }
  return { args, alone };
}

function keyOf({ place, property, value }: PlacedSetting): string {
  return `${placeKey({ place, property })}=${value}`;
}

/** Which property of which device. */
export function placeKey({ place, property }: Pick<PlacedSetting, "place" | "property">): string {
  return `${place} ${property}`;
}
