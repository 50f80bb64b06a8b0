import { PassingAdapt } from "../../rewrite/adapt/live.js";
import { withReopened } from "../../rewrite/adapt/reopened.js";
import type { RelayAdapt } from "./types.js";

/** Does something with what adapts a guest on its way, as long as its pattern is open. Errors: as `survey`. */
export async function withAdapt<T>(adapt: RelayAdapt, work: (adapt: PassingAdapt) => Promise<T>): Promise<T> {
  return await withReopened(adapt.pattern, {}, async (like) => await work(await PassingAdapt.prepare(like, adapt)));
}
