/** All entries of the corpus. */
import type { Entry } from "../entry.js";
import { deviceEntries } from "./devices.js";
import { liveEntries } from "./live.js";
import { machineEntries } from "./machines.js";
import { memoryEntries } from "./memory.js";
import { sectionEntries } from "./sections.js";
import { targetEntries } from "./targets.js";
import { versionEntries } from "./versions.js";

/** Every entry, in the order of the table in corpus/README.md. */
export const entries: readonly Entry[] = [
  ...machineEntries,
  ...liveEntries,
  ...memoryEntries,
  ...deviceEntries,
  ...versionEntries,
  ...sectionEntries,
  ...targetEntries,
];
