/**
 * What is dropped on the page: a folder is a model, a single file a picture.
 *
 * The worker that opens a model gets its files with their paths; entries, which is what a browser gives of a drop, cannot be
 * sent to it. Source: the File and Directory Entries API; `readEntries` gives a part of a folder at a time.
 */
import type { Actions } from '../state/actions.js';
import type { DroppedFile, ModelSource } from '../worker/protocol.js';

/** A checkpoint has its adapter one folder down. */
const MAX_DEPTH = 2;
/** A home folder dropped by mistake must not hold up the page. */
const MAX_FILES = 10_000;

const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory;

const fileOf = (entry: FileSystemEntry): Promise<File> =>
  new Promise((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));

async function entriesOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader();
  const all: FileSystemEntry[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) return all;
    all.push(...some);
    if (all.length > MAX_FILES)
      throw new Error(`${folder.name} has more than ${MAX_FILES} files; drop the folder of a checkpoint`);
  }
}

async function filesIn(folder: FileSystemDirectoryEntry, prefix: string, depth: number): Promise<DroppedFile[]> {
  const files: DroppedFile[] = [];
  for (const entry of await entriesOf(folder)) {
    const path = `${prefix}${entry.name}`;
    if (!isFolder(entry)) files.push({ path, file: await fileOf(entry) });
    else if (depth < MAX_DEPTH) files.push(...(await filesIn(entry, `${path}/`, depth + 1)));
  }
  return files;
}

/** The model in a dropped folder; null when nothing that was dropped is one. Takes what it needs within the event. */
function droppedModel(items: DataTransferItemList): (() => Promise<ModelSource>) | null {
  const folder = [...items]
    .map((item) => item.webkitGetAsEntry())
    .find((entry): entry is FileSystemDirectoryEntry => entry !== null && isFolder(entry));
  if (!folder) return null;
  const { name } = folder;
  return async () => ({ kind: 'folder', name, folder: await filesIn(folder, `${name}/`, 0) });
}

/** Makes an element, and all in it, a place to drop models and pictures on. */
export const dropHandlers = (actions: Actions) => ({
  onDragOver: (event: DragEvent): void => event.preventDefault(),
  onDrop(event: DragEvent): void {
    event.preventDefault();
    if (!event.dataTransfer) return;
    const { items, files } = event.dataTransfer;
    const model = droppedModel(items);
    if (model) void actions.chooseModel(model);
    else if (files[0]) void actions.openPicture({ kind: 'file', file: files[0] });
  },
});
