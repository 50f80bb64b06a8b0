import { rmSync } from "node:fs";
import { BlockFiles } from "./block-files.js";
import { rememberUnfinished } from "../transport/file.js";

/** Guest memory in a folder of sparse files that lasts no longer than the work that needs it. */
export class ScratchMemory {
  readonly files: BlockFiles;
  private readonly unfinished: { forget(): void };

  /** @param folder is made here, and removed by `close` or when the process ends */
  constructor(
    private readonly folder: string,
    pageSize: number,
  ) {
    this.unfinished = rememberUnfinished(folder);
    this.files = new BlockFiles(folder, pageSize);
  }

  close(): void {
    this.files.close();
    rmSync(this.folder, { recursive: true, force: true });
    this.unfinished.forget();
  }
}
