import { BlockFiles } from "./block-files.js";
import { temporaryFolder, type TemporaryFolder } from "../../io/transport/temporary.js";

/** Guest memory in a temporary folder of sparse files. */
export class ScratchMemory {
  readonly files: BlockFiles;
  private readonly folder: TemporaryFolder;

  /**
   * @param parent folder for the temporary folder, which is removed by `close` or when the process exits. Errors: io.
   */
  constructor(parent: string, pageSize: number) {
    this.folder = temporaryFolder(parent, "qevm-memory");
    this.files = new BlockFiles(this.folder.path, pageSize);
  }

  close(): void {
    this.files.close();
    this.folder.remove();
  }
}
