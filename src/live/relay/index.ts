/** Relays a live migration between source and destination. */
export { relay } from "./relay.js";
export type { Relayed, RelayOptions } from "./types.js";
