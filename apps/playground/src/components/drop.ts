/** What is dropped on the page: a folder is a model, a single file a picture. */
import { droppedPaths } from '@mindseye/qwen-vl';
import type { Actions } from '../state/actions.js';
import type { ModelSource } from '../worker/protocol.js';

/** The model in a dropped folder; null when nothing that was dropped is one. Takes what it needs within the event. */
function droppedModel(items: DataTransferItemList): (() => Promise<ModelSource>) | null {
  const folder = [...items].find((item) => item.webkitGetAsEntry()?.isDirectory);
  const name = folder?.webkitGetAsEntry()?.name;
  if (!folder || name === undefined) return null;
  const files = droppedPaths([folder]);
  return async () => ({ kind: 'folder', name, folder: await files });
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
