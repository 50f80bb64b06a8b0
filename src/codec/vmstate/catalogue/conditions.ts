/** Fields of a vmsd that are there only where another field before them is not 0: by the name of the conditional one. */
export type Conditions = Readonly<Record<string, string>>;

/**
 * Where a field says whether another one is there, structs of one vmsd have different layouts in one section. A
 * description does not say what the condition was. Source: QEMU hw/ide/core.c (5.2 to 11.1).
 */
const CONDITIONS: ReadonlyMap<string, Conditions> = new Map([["ide_drive", { identify_data: "identify_set" }]]);

/** The conditions of a vmsd; undefined: none that a field says. */
export function conditionsOf(vmsd: string | undefined): Conditions | undefined {
  return vmsd === undefined ? undefined : CONDITIONS.get(vmsd);
}
