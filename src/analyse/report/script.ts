/**
 * The page's only script: a field that shows what holds all words that are typed, and hides the rest. It makes the field
 * itself, so that a page whose script does not run has none. It takes text and sets `hidden` and `open`, nothing else.
 */
export const SCRIPT = `"use strict";(() => {
const ROWS = "tbody tr, .device, figure, .find";
let rows;
const label = document.createElement("label");
const field = document.createElement("input");
const said = document.createElement("span");
label.className = "search";
label.textContent = "Search ";
field.type = "search";
said.className = "dim";
said.setAttribute("role", "status");
label.append(field);
document.querySelector("nav").append(label, said);
/* A value of a device is found by its own text and the names around it. */
const leaf = (item) => {
  const names = [];
  for (let up = item.parentElement.closest("li, .device"); up; up = up.parentElement.closest("li, .device")) {
    const summary = up.querySelector("summary");
    if (summary) names.push(summary.textContent);
  }
  return { item, text: [item.textContent, ...names].join(" ").toLowerCase() };
};
const leaves = (row) => {
  const all = row.item.classList.contains("device") ? row.item.querySelectorAll("li") : [];
  return [...all].filter((item) => !item.querySelector("li")).map(leaf);
};
const prepare = () => [...document.querySelectorAll(ROWS)].map((item) => ({
  item, open: item.open, text: item.textContent.toLowerCase() }));
const search = () => {
  const words = field.value.toLowerCase().split(/\\s+/).filter((word) => word !== "");
  rows = rows || prepare();
  let found = 0;
  for (const row of rows) {
    const hit = words.every((word) => row.text.includes(word));
    row.item.hidden = !hit;
    if (hit) found++;
    if (!row.item.classList.contains("device")) continue;
    row.leaves = row.leaves || leaves(row);
    const inside = words.length > 0 && hit;
    const some = row.leaves.filter(({ text }) => inside && words.every((word) => text.includes(word)));
    for (const each of row.item.querySelectorAll("li, details")) {
      each.hidden = inside && some.length > 0 && !some.some(({ item }) => each.contains(item));
      if (each.open !== undefined) each.open = inside && some.length > 0 && !each.hidden;
    }
    row.item.open = inside ? some.length > 0 && some.length < row.leaves.length : row.open;
  }
  for (const group of document.querySelectorAll(".group")) {
    group.hidden = words.length > 0 && !group.querySelector(".device:not([hidden])");
  }
  said.textContent = words.length === 0 ? "" : " " + found + " of " + rows.length + " rows, blocks and devices";
};
field.addEventListener("input", search);
})();`;
