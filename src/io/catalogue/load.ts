import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, brotliDecompressSync } from "node:zlib";
import { QevmError } from "../../bytes/errors.js";
import { Catalogue, parseCatalogue, type CatalogueData } from "../../codec/vmstate/catalogue/index.js";
import { AtomicFile } from "../transport/file.js";

/** Places of the shipped catalogue: beside this module, and as the program's bundle sees it. */
const SHIPPED = ["./catalogue.br", "../src/io/catalogue/catalogue.br"];

/** Bytes of a catalogue's text at most: a file that is larger once unpacked is refused. */
const MOST = 1 << 28;

let loaded: Promise<Catalogue> | undefined;

/**
 * The catalogue of device state: the shipped one, and what `qevm catalogue learn` added. Read once.
 * Errors: io; bad-description where a file is damaged.
 */
export async function loadCatalogue(): Promise<Catalogue> {
  loaded ??= Promise.resolve().then(() => {
    const own = readOwn();
    return new Catalogue(...(own === undefined ? [] : [own]), readShipped());
  });
  return await loaded;
}

/** The data that is shipped. Errors: io, bad-description. */
function readShipped(): CatalogueData {
  const found = SHIPPED.map((place) => fileURLToPath(new URL(place, import.meta.url))).find((file) => existsSync(file));
  if (found === undefined) throw new QevmError("io", "the shipped catalogue is missing: install qevm again");
  return readCatalogue(found);
}

/** The file of a user's own catalogue. */
export function ownFile(): string {
  const { XDG_DATA_HOME: data } = process.env;
  const base = data === undefined || data === "" ? join(homedir(), ".local", "share") : data;
  return join(base, "qevm", "catalogue.br");
}

/** A user's own data; undefined: nothing was learnt yet. Errors: io, bad-description. */
export function readOwn(): CatalogueData | undefined {
  const file = ownFile();
  return existsSync(file) ? readCatalogue(file) : undefined;
}

/** Writes a user's own data. Errors: io. */
export async function writeOwn(data: CatalogueData): Promise<void> {
  const path = ownFile();
  mkdirSync(join(path, ".."), { recursive: true, mode: 0o700 });
  const file = new AtomicFile(path);
  try {
    await file.write(brotliCompressSync(Buffer.from(JSON.stringify(data), "latin1")));
    file.commit();
  } catch (error) {
    file.abort();
    throw error;
  }
}

function readCatalogue(file: string): CatalogueData {
  try {
    return parseCatalogue(brotliDecompressSync(readFileSync(file), { maxOutputLength: MOST }).toString("latin1"));
  } catch (error) {
    if (error instanceof QevmError) {
      const { code, what, expected, found } = error;
      throw new QevmError(code, what, { path: [file], expected, found, cause: error });
    }
    const code = error instanceof Error && "syscall" in error ? "io" : "bad-description";
    throw new QevmError(code, `the catalogue cannot be read: ${String(error)}`, { path: [file], cause: error });
  }
}
