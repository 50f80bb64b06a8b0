import { BlockFiles } from "./block-files.js";
import { temporaryFolder, type TemporaryFolder } from "../../io/transport/temporary.js";

/** Guest memory in a folder of sparse files that lasts no longer than the work that needs it. */
export class ScratchMemory {
  readonly files: BlockFiles;
  private readonly folder: TemporaryFolder;

  /** @param parent a folder of its own is made in it, and removed by `close` or when the process ends. Errors: io. */
  constructor(parent: string, pageSize: number) {
    this.folder = temporaryFolder(parent, "qevm-memory");
    this.files = new BlockFiles(this.folder.path, pageSize);
  }

  close(): void {
    this.files.close();
    this.folder.remove();
  }
}
