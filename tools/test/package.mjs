// What a user of the npm package gets: the tarball is packed as for publishing, checked by publint and
// are-the-types-wrong, and used.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, node, root } from "./process.mjs";
import { checkUses } from "./users.mjs";

/** Packs the package into `folder`. Returns the path of its tarball, or what npm said against it. */
export function pack(folder) {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const packed = spawnSync(npm, ["pack", "--json", "--loglevel=error", "--pack-destination", folder], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (packed.status !== 0) return { trouble: packed.stdout + packed.stderr };
  return { tarball: join(folder, JSON.parse(packed.stdout)[0].filename) };
}

/** Resolves to a list of `{ name, code, output }`. */
export async function checkPackage() {
  const folder = mkdtempSync(join(tmpdir(), "qevm-pack-"));
  try {
    const { tarball, trouble } = pack(folder);
    if (trouble !== undefined) return [{ name: "npm pack", code: 1, output: trouble }];
    const publint = await node([bin("publint/src/cli.js"), "run", tarball, "--strict"]);
    const attw = await node([
      bin("@arethetypeswrong/cli/dist/index.js"),
      tarball,
      "--profile=esm-only",
      "--no-definitely-typed",
      "--no-emoji",
      "--format=ascii",
    ]);
    return [
      { name: "publint", ...publint },
      { name: "are the types wrong", ...attw },
      ...(await checkUses(tarball, join(folder, "app"))),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
