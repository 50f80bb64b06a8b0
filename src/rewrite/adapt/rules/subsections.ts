import type { SubsectionRule } from "./types.js";

/** Subsections that not every QEMU knows. */
export const SUBSECTION_RULES: readonly SubsectionRule[] = [];
