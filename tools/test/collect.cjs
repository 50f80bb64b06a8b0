// Loaded into every process and thread of a test run that measures coverage. Each instrumented module asks for a byte a
// place, and sets it when the place is reached; at exit the bytes of all modules are written. nyc does the same with
// hooks into every module load and every process start, which doubled the program's start time.
"use strict";
const { renameSync, writeFileSync } = require("node:fs");

/** The bytes of each module by its number: a process may hold several copies of one. */
const reached = new Map();
globalThis.qevmReached = (number, size) => {
  const bytes = reached.get(number) ?? new Uint8Array(size);
  reached.set(number, bytes);
  return bytes;
};

process.on("exit", () => {
  if (reached.size === 0) return;
  const name = `${process.pid}-${process.hrtime.bigint()}-${Math.random()}`;
  const folder = process.env.QEVM_COVERAGE;
  const bytes = [Buffer.from(`${JSON.stringify([...reached.keys()])}\n`), ...reached.values()];
  writeFileSync(`${folder}/.${name}`, Buffer.concat(bytes));
  renameSync(`${folder}/.${name}`, `${folder}/${name}`);
});
