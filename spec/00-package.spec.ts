import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import test from "tape";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Manifest {
  name: string;
  version: string;
  type: string;
  license: string;
  engines: Record<string, string>;
  bin: Record<string, string>;
  exports: Record<string, Record<string, string> | string>;
  files: string[];
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

interface Lock {
  version: string;
  packages: Record<
    string,
    { version?: string; integrity?: string; resolved?: string; optional?: boolean; optionalDependencies?: object }
  >;
}

const manifest = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as Manifest;
const lock = JSON.parse(readFileSync(`${root}package-lock.json`, "utf8")) as Lock;

test("name, licence, module kind, Node version", (t) => {
  t.equal(manifest.name, "qevm");
  t.equal(manifest.license, "MIT");
  t.equal(manifest.type, "module");
  t.equal(manifest.engines["node"], ">=20.19.0");
  t.match(readFileSync(`${root}LICENSE`, "utf8"), /MIT License/u);
  t.equal(lock.version, manifest.version, "the lock file is of this version");
  t.end();
});

test("dependencies are few and exact", (t) => {
  const exact = /^\d+\.\d+\.\d+$/u;
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    t.match(version, exact, name);
    t.equal(lock.packages[`node_modules/${name}`]?.version, version, `${name} is locked at that version`);
  }
  const readme = readFileSync(`${root}README.md`, "utf8");
  for (const name of Object.keys(manifest.dependencies))
    t.ok(readme.includes(`\`${name}\``), `README says why ${name} is needed`);
  const hooks = new Set(["preinstall", "install", "postinstall", "prepare"]);
  t.deepEqual(
    Object.keys(manifest.scripts).filter((script) => hooks.has(script)),
    [],
    "no install scripts",
  );
  t.end();
});

test("the lock file has every package, and no address", (t) => {
  const text = readFileSync(`${root}package-lock.json`, "utf8");
  t.notOk(text.includes('"resolved"'), "no download addresses");
  t.notOk(/"https?:\/\/[^"]*\.tgz/u.test(text), "no archives");
  const incomplete: string[] = [];
  for (const [path, { version, integrity, optional }] of Object.entries(lock.packages)) {
    if (path === "") continue;
    // Packages for other platforms may lack a checksum: they were not available where the lock file was made.
    if (version === undefined || (integrity === undefined && optional !== true)) incomplete.push(path);
  }
  t.deepEqual(incomplete, [], "version and checksum of each");
  const missing: string[] = [];
  for (const { optionalDependencies } of Object.values(lock.packages)) {
    for (const name of Object.keys(optionalDependencies ?? {})) {
      if (lock.packages[`node_modules/${name}`] === undefined) missing.push(name);
    }
  }
  t.deepEqual(missing, [], "packages that other platforms need are there too, or npm ci refuses");
  t.end();
});

test("the two commands set up what they need", (t) => {
  for (const script of ["demo", "test", "build", "bench"]) {
    t.match(manifest.scripts[script] ?? "", /^node tools\/setup\.mjs/u, `npm run ${script}`);
  }
  t.match(readFileSync(`${root}.ci/run`, "utf8"), /npm test/u, "CI runs the same");
  t.end();
});

test("the paths of the program and the entry exist", (t) => {
  const program = `${root}${manifest.bin["qevm"] ?? ""}`;
  t.match(readFileSync(program, "utf8"), /^#!\/usr\/bin\/env node\n/u, "the program has its first line");
  t.ok((statSync(program).mode & 0o111) !== 0, "and may be executed");
  const entry = manifest.exports["."];
  for (const file of Object.values(typeof entry === "object" ? entry : {})) t.ok(existsSync(`${root}${file}`), file);
  t.end();
});

/** What a Markdown text links to by a path. */
function linksOf(text: string): string[] {
  return [...text.matchAll(/\]\(([^)#:\s]+)(?:#[^)\s]*)?\)/gu)].map(([, link = ""]) => link);
}

test("contents of the package", (t) => {
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const packed = spawnSync(npm, ["pack", "--dry-run", "--json", "--loglevel=error", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [tarball] = JSON.parse(packed.stdout) as [{ files: { path: string; size: number }[] }];
  const files = tarball.files.map(({ path }) => path);
  for (const file of [
    "package.json",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "dist/src/index.js",
    "dist/src/index.d.ts",
    "dist/bin/qevm.cjs",
    "dist/src/engine/page.wasm",
    "dist/src/engine/zstd-compress.wasm.gz",
    "dist/qevm.1",
    "dist/page/qevm.html",
    "dist/schema/inspect.json",
  ]) {
    t.ok(files.includes(file), file);
  }
  const strays = files.filter(
    (path) =>
      !/^(package\.json|LICENSE|README\.md|CHANGELOG\.md|dist\/qevm\.1|dist\/bin\/.+|dist\/page\/qevm\.html|dist\/src\/.+|dist\/schema\/[a-z-]+\.json|spec\/[\w-]+\.(?:md|png|svg)|spec\/examples\/[a-z]+\.mjs|spec\/public-names\.txt)$/u.test(
        path,
      ),
  );
  t.deepEqual(strays, [], "nothing else: no corpus, no tests, no tools");
  // The program is two thirds of it: each command's file has its own copy of the code that it uses (see
  // tools/bundle.mjs), with its names, which stack traces show. The schemas are 0.2 MB.
  const sizeOf = (part: boolean): number =>
    tarball.files.reduce((sum, { path, size }) => sum + (path.startsWith("spec/") === part ? size : 0), 0);
  t.ok(sizeOf(false) < 15_800_000, `${sizeOf(false)} bytes unpacked`);
  t.ok(sizeOf(true) < 700_000, `${sizeOf(true)} bytes of chapters and pictures`);
  const packedText = ["README.md", ...files.filter((path) => /^spec\/.*\.md$/u.test(path))];
  const broken = packedText.flatMap((path) =>
    linksOf(readFileSync(`${root}${path}`, "utf8"))
      .map((link) => posix.normalize(`${posix.dirname(path)}/${link}`))
      .filter((link) => !files.includes(link))
      .map((link) => `${path}: ${link}`),
  );
  t.deepEqual(broken, [], "every chapter and picture that is cited is there");
  t.end();
});

test("the top level has only the planned entries", (t) => {
  const listed = spawnSync("git", ["ls-files"], { cwd: root, encoding: "utf8" });
  if (listed.status !== 0) {
    t.skip("not a git checkout");
    t.end();
    return;
  }
  const top = new Set(
    listed.stdout
      .trim()
      .split("\n")
      .map((path) => path.replace(/\/.*$/u, "")),
  );
  const allowed =
    /^(\..+|package(-lock)?\.json|tsconfig(\..+)?\.json|src|spec|corpus|tools|LICENSE|README\.md|CHANGELOG\.md)$/u;
  t.deepEqual(
    [...top].filter((name) => !allowed.test(name)),
    [],
  );
  t.end();
});

test("every folder has a chapter, and every chapter a text", (t) => {
  const spec = readdirSync(`${root}spec`);
  const prose = spec.filter((name) => name.endsWith(".md"));
  const text = prose
    .filter((name) => name !== "architecture.md")
    .map((name) => readFileSync(`${root}spec/${name}`, "utf8"))
    .join("\n");
  const folders = (path: string): string[] =>
    readdirSync(`${root}${path}`, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => `${path}/${name}`);
  for (const folder of folders("src")) {
    const inner = folders(folder);
    const named = inner.length > 0 && !/\/(?:cli|engine)$/u.test(folder) ? inner : [folder];
    for (const name of named) t.ok(text.includes(name), `${name} is named in a chapter`);
  }
  for (const name of spec.filter((file) => file.endsWith(".spec.ts"))) {
    const number = name.slice(0, 3);
    t.ok(
      prose.some((file) => file.startsWith(number)),
      `${name} belongs to a chapter of prose`,
    );
  }
  t.end();
});
