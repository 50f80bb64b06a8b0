import { BlockFiles } from "./block-files.js";
import { temporaryFolder, type TemporaryFolder } from "../../io/transport/temporary.js";
import type { PageStore } from "../pages/page-store.js";

/** Guest memory in a temporary folder of sparse files. */
export class ScratchMemory {
  readonly files: BlockFiles;
  private readonly folder: TemporaryFolder;

  /**
   * @param parent folder for the temporary folder, which is removed by `close` or when the process exits
   * @param threadAfter as of `BlockFiles`. Errors: io.
   */
  constructor(parent: string, pageSize: number, threadAfter?: number) {
    this.folder = temporaryFolder(parent, "qevm-memory");
    this.files = new BlockFiles(this.folder.path, pageSize, threadAfter);
  }

  /** The same; a block becomes a file when it is first asked for. */
  get pages(): PageStore {
    const { files } = this;
    return {
      read: (block, offset, into) => {
        files.add(block);
        files.read(block, offset, into);
      },
      write: (block, offset, page) => {
        files.add(block);
        files.write(block, offset, page);
      },
      zero: (block, offset, length) => {
        files.add(block);
        files.zero(block, offset, length);
      },
    };
  }

  close(): void {
    this.files.close();
    this.folder.remove();
  }
}
