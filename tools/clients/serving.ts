/** Options of our servers that this sets. */
interface Serving {
  readonly signal: AbortSignal;
  readonly onListening: () => void;
}

/** Runs a server until `ask`, which is called when it listens, has ended. Rejects with the first error of either. */
export async function whileServing<T>(serve: (serving: Serving) => Promise<void>, ask: () => Promise<T>): Promise<T> {
  const stop = new AbortController();
  let served = Promise.resolve();
  await new Promise<void>((resolve, reject) => {
    served = serve({ signal: stop.signal, onListening: () => resolve() });
    served.catch(reject);
  });
  try {
    return await ask();
  } finally {
    stop.abort();
    await served;
  }
}
