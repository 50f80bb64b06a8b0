/** Standing between the source and the destination of a live migration. */
export { relay, type Relayed, type RelayOptions } from "./relay.js";
