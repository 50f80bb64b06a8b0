import type { SectionRecord } from "../../codec/sections/index.js";

/** Names of the values of a record in a section with a grammar of its own, in the order of its encoder. */
export function sectionNames(record: SectionRecord): string[] {
  switch (record.section) {
    case "block":
      if (record.kind === "progress") return ["percent and flags"];
      if (record.kind === "end") return ["flags"];
      return ["position and flags", ...nameOf(record.device, "device"), "data"];
    case "dirty-bitmap": {
      const names = ["flags"];
      if (record.node !== undefined) names.push(...nameOf(record.node, "node"));
      if (record.bitmap !== undefined) names.push(...nameOf(record.bitmap, "bitmap"));
      if (record.kind === "start") names.push("granularity", "enabled, persistent, autoload");
      if (record.kind === "bits") names.push("sector", "sectors", "length of the bits", "bits");
      return names;
    }
    case "spapr/htab":
      if (record.kind === "table") return ["shift"];
      if (record.kind === "begin") return ["mark of a part"];
      return record.kind === "end" ? ["index", "valid and invalid"] : ["index", "valid", "invalid", "entries"];
    case "s390-storage":
      return ["address and flags", "count", "values"];
    case "vfio":
      return ["tag", "length", "data"];
    case "pbs-state":
      return ["length", "data"];
  }
}

/** A name of no characters has a length only. */
function nameOf(text: string, what: string): string[] {
  return [`length of the ${what}'s name`, ...(text === "" ? [] : [`${what} name`])];
}
