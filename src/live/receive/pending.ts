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

/** Whether a read has given nothing for so many milliseconds. */
export async function isSilent(read: Promise<unknown>, milliseconds: number): Promise<boolean> {
  const { over, stop } = silence(milliseconds);
  const spoke = read.then(
    () => false,
    () => false,
  );
  try {
    return (await Promise.race([spoke, over])) === "quiet";
  } finally {
    stop();
  }
}

/** Milliseconds in which data is read that came while this process was suspended: timers are first after that. */
const READ = 20;

/** Resolves after so many milliseconds, unless it is stopped. */
export function silence(milliseconds: number): { over: Promise<"quiet">; stop: () => void } {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<"quiet">((resolve) => {
    timer = setTimeout(() => {
      timer = setTimeout(() => resolve("quiet"), READ);
    }, milliseconds);
  });
  return { over, stop: () => clearTimeout(timer) };
}
