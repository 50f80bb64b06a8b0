import { CommandNumber, type BareCommand, type Command, type DiscardRange } from "../../codec/stream/index.js";
import { Keys, refuse } from "./manifest.js";

/** A command of the manifest: the twin of `commandToPlain`. Errors: bad-description, with the key. */
export function commandOf(keys: Keys): Command {
  const name = keys.text("name");
  if (keys.has("number"))
    return { name: "OPAQUE", number: keys.integer("number", 0xffff), payload: keys.hex("payload") };
  switch (name) {
    case "PING":
      return { name, value: keys.integer("value", 0xffffffff) };
    case "POSTCOPY_ADVISE":
      if (!keys.has("pageSizes")) return { name };
      return { name, ram: { pageSizes: keys.big("pageSizes"), pageSize: keys.big("pageSize") } };
    case "POSTCOPY_RAM_DISCARD":
      return {
        name,
        block: keys.text("block"),
        ranges: keys.list("ranges", (value, at) => rangeOf(new Keys(value, at))),
      };
    case "PACKAGED":
      return { name, length: 0 };
    case "RECV_BITMAP":
      return { name, block: keys.text("block") };
    default:
      if (name === "INVALID" || !(name in CommandNumber))
        throw refuse(`${keys.at}: name`, "a command that there is", name);
      return { name: name as BareCommand };
  }
}

function rangeOf(keys: Keys): DiscardRange {
  const range = { start: keys.integer("start"), length: keys.integer("length") };
  keys.done();
  return range;
}
