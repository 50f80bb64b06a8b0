/** The part of the page's state that is in its address: what names no content of a file. */
export interface Place {
  tab: string;
  find: string;
}

export function readPlace(hash: string): Place {
  const words = new URLSearchParams(hash.replace(/^#/u, ""));
  return { tab: words.get("tab") ?? "", find: words.get("find") ?? "" };
}

export function placeHash({ tab, find }: Place): string {
  const words = new URLSearchParams();
  if (tab !== "") words.set("tab", tab);
  if (find !== "") words.set("find", find);
  const text = words.toString();
  return text === "" ? "#" : `#${text}`;
}
