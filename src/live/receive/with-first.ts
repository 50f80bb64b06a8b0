/** Iterates over a pending read, then the rest. */
export function withFirst<T>(
  first: Promise<IteratorResult<T>>,
  rest: AsyncIterator<T>,
): () => Promise<IteratorResult<T>> {
  let next: Promise<IteratorResult<T>> | undefined = first;
  return async () => {
    const now = next ?? rest.next();
    next = undefined;
    return await now;
  };
}
