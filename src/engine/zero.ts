export { isZero as isZeroPage } from "../bytes/zero.js";
