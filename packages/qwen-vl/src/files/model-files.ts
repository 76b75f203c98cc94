/**
 * The files of a checkpoint, wherever they are: a folder, a hub cache, a browser's file list, a page's own origin.
 *
 * Everything that reads a model takes this; each place is one file beside this one (`node/` for those that need Node).
 */
import type { ByteSource } from '@mindseye/tensor-core';

export interface ModelFiles {
  /** What messages call the place: a path, an address, `Qwen/Qwen2.5-VL-3B-Instruct@main`. */
  readonly location: string;
  /** Plain names of the files that are there. A sub-folder is a place of its own: see `folder`. */
  readonly names: ReadonlySet<string>;
  /**
   * One of the files, to be read in ranges.
   * @throws ModelFolderError when it is not among `names` or cannot be opened
   */
  open(name: string): Promise<ByteSource>;
  /** The files of a folder below this one, such as `adapter`; undefined when there is none. */
  folder?(name: string): Promise<ModelFiles | undefined>;
  /** Of a model on a hub: what it is called there, and the commit that the files are of. */
  readonly repository?: { readonly name: string; readonly revision: string; readonly commit: string };
}
