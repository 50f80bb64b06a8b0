/**
 * The package's own declarations cannot be reached through its "exports"; these are the parts of it that are used here.
 */
declare module "binary-parser" {
  /** A description of a fixed layout, built call by call. */
  export class Parser {
    endianness(endianness: "little" | "big"): this;
    uint8(name: string): this;
    uint16(name: string): this;
    uint32(name: string): this;
    uint64(name: string): this;
    buffer(name: string, options: { length: number }): this;
    array(name: string, options: { type: string; length: number }): this;
    seek(relOffset: number): this;
    /** What comes out has one member a call above; the caller says which. */
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller alone knows the members
    parse<T>(buffer: Uint8Array): T;
  }
}
