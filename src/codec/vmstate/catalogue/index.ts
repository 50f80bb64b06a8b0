/** Layouts of device state, learnt from VMDESCRIPTIONs, for streams that have none. */
export { Catalogue } from "./catalogue.js";
export { anyElement, disagreement, isSame } from "./compare.js";
export { CATALOGUE_FORMAT, parseCatalogue, type CatalogueData, type GroupData, type LayoutData } from "./data.js";
export type { CatalogueFit, Fits } from "./fit.js";
export { Learner } from "./learn.js";
export { writersOf, type Writers } from "./origins.js";
