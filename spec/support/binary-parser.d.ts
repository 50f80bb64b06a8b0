/** The package's own declarations are not reachable through its "exports"; these are the used parts. */
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
    /** The result has one member per call above; the caller states its type. */
    // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the caller alone knows the members
    parse<T>(buffer: Uint8Array): T;
  }
}
