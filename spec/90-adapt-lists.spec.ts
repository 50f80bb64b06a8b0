/** Elements of a list, which has those of the old state. */
import test from "tape";
import { encodeDevice, measureStruct, type DeviceState, type StructState } from "../src/codec/vmstate/index.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import type { Change } from "../src/rewrite/adapt/types.js";
import { toHex } from "./support/bytes.js";
import { written } from "./support/devices.js";

/** A variable of UEFI, as 11.1 saves it, or as 10.0 does. */
function variable(hasDigest: boolean, digestSize: number): StructState {
  const digest = {
    vmsdName: "uefi-variable-digest",
    version: 0,
    fields: [{ name: "digest_size", type: "uint32", size: 4 }],
  };
  const fields = [{ name: "attributes", type: "uint32", size: 4 }];
  return {
    description: { vmsdName: "uefi-variable", version: 0, fields, ...(hasDigest ? { subsections: [digest] } : {}) },
    fields: { attributes: 7 },
    subsections: hasDigest ? [{ description: digest, fields: { digest_size: digestSize }, subsections: [] }] : [],
  };
}

function variables(hasDigest: boolean, digestSize = 0): DeviceState {
  const one = variable(hasDigest, digestSize);
  const list = { name: "variables", type: "qtailq", size: 2 + measureStruct(one), inlined: [one.description] };
  return {
    description: { name: "uefi-vars-sysbus", instanceId: 0, vmsdName: "uefi-vars-sysbus", version: 0, fields: [list] },
    fields: { variables: [one] },
    subsections: [],
    bytes: { typed: 0, named: 0, opaque: 0 },
  };
}

/** The list as a destination of that release gets it, and what is noted. */
function given(release: string, { hasDigest = true, digestSize = 0 } = {}): { list: DeviceState; notes: string[] } {
  const changes: Change[] = [];
  const old = variables(hasDigest, digestSize);
  const list = mergeDevice(old, variables(false), new MergeContext("uefi-vars", 0, changes, { release }));
  return { list, notes: changes.map(({ where, rule, weight }) => `${where}: ${rule} ${weight}`) };
}

/** The bytes of the whole device. */
const encoded = (state: DeviceState): string => toHex(written((writer) => encodeDevice(writer, state)));

test("a subsection of an element that the destination does not know is left out", (t) => {
  const where = "uefi-vars > variables > [0] > subsection uefi-variable-digest: uefi-variable-digest";
  const down = given("10.0");
  t.deepEqual(down.notes, [`${where} unused`], "it holds nothing");
  t.equal(encoded(down.list), encoded(variables(false)), "the bytes of a 10.0");
  t.deepEqual(given("10.0", { digestSize: 32 }).notes, [`${where} guest`], "a digest would be lost");
  const same = given("11.1");
  t.deepEqual(same.notes, [], "11.1 knows it");
  t.equal(encoded(same.list), encoded(variables(true)), "the same bytes");
  t.deepEqual(given("10.0", { hasDigest: false }).notes, [], "a list without it");
  t.end();
});
