/** Relays a live migration between source and destination. */
export { relay, type Relayed, type RelayOptions } from "./relay.js";
