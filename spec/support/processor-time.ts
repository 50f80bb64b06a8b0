/**
 * A clock of the processor time that this process takes from now on, in milliseconds. What else runs on the machine
 * does not count, as it does in a clock's time.
 */
export function processorClock(): () => number {
  const start = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(start);
    return (user + system) / 1000;
  };
}
