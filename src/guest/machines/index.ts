export { MACHINE_ALIASES, type MachineAlias } from "./aliases.js";
export { machineFamily, machineRelease, releaseNumber, upstreamMachine, type UpstreamMachine } from "./names.js";
