/** `env.regs[3]`, `subsections.cpu/xsave.env.xcr0`: the path that `devices` prints after `fields.`. */
export function pathOf(steps: readonly string[]): string {
  let path = "";
  for (const step of steps) {
    const name = /^subsection "(.*)"$/su.exec(step)?.[1];
    const shown = name === undefined ? step : `subsections.${name}`;
    path += path === "" || shown.startsWith("[") ? shown : `.${shown}`;
  }
  return path;
}
