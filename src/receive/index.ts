/** Receiving a live migration: every channel of a QEMU source into a folder. */
export { receiveInto, type Received, type ReceiveOptions } from "./receive.js";
