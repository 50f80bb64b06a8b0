/** Documents that the program prints, for tests that look at one thing in them. */

/** An envelope and its result as one object. */
export function flatDocument(text: string): unknown {
  const { result, ...envelope } = JSON.parse(text) as { result: object | null };
  return { ...envelope, ...result };
}
