/** Elements of a list, which is taken as it is. */
import test from "tape";
import type { DeviceState, StructState } from "../src/codec/vmstate/index.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import type { Change } from "../src/rewrite/adapt/types.js";

/** A variable of UEFI, as 11.1 saves it, or as 10.0 does. */
function variable(hasDigest: boolean): StructState {
  const digest = {
    vmsdName: "uefi-variable-digest",
    version: 0,
    fields: [{ name: "digest_size", type: "uint32", size: 4 }],
  };
  const fields = [{ name: "attributes", type: "uint32", size: 4 }];
  return {
    description: { vmsdName: "uefi-variable", version: 0, fields, ...(hasDigest ? { subsections: [digest] } : {}) },
    fields: { attributes: 7 },
    subsections: hasDigest ? [{ description: digest, fields: { digest_size: 0 }, subsections: [] }] : [],
  };
}

function variables(hasDigest: boolean): DeviceState {
  const one = variable(hasDigest);
  const list = { name: "variables", type: "qtailq", size: 4, inlined: [one.description] };
  return {
    description: { name: "uefi-vars-sysbus", instanceId: 0, vmsdName: "uefi-vars-sysbus", version: 0, fields: [list] },
    fields: { variables: [one] },
    subsections: [],
    bytes: { typed: 0, named: 0, opaque: 0 },
  };
}

/** What is noted where a destination of that release gets the list. */
function noted(release: string, hasDigest = true): string[] {
  const changes: Change[] = [];
  mergeDevice(variables(hasDigest), variables(false), new MergeContext("uefi-vars", 0, changes, { release }));
  return changes.map(({ where, rule, weight }) => `${where}: ${rule} ${weight}`);
}

test("a subsection of an element that the destination does not know is refused", (t) => {
  t.deepEqual(noted("10.0"), ["uefi-vars > variables: uefi-variable-digest never"], "QEMU 10.0 would end");
  t.deepEqual(noted("11.1"), [], "11.1 knows it");
  t.deepEqual(noted("10.0", false), [], "a list without it");
  t.end();
});
