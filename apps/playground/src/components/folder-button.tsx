import { pathsOf } from '@mindseye/qwen-vl';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import type { ModelSource } from '../worker/protocol.js';

export interface FolderButtonProps {
  /** Told how to get the model, which is null when none was chosen. */
  readonly onChoose: (choose: () => Promise<ModelSource | null>) => void;
}

type Picker = (options: { readonly id: string; readonly mode: 'read' }) => Promise<FileSystemDirectoryHandle>;

/** Of browsers that have one. */
const pickerOf = (page: Window & { readonly showDirectoryPicker?: Picker }): Picker | undefined =>
  page.showDirectoryPicker?.bind(page);

/** Every browser has it, no standard and no type does. */
const FOLDERS = { webkitdirectory: true };

/** A model from a folder of this machine: by the browser's picker of folders, or an input that takes them. */
export function FolderButton({ onChoose }: FolderButtonProps): JSX.Element {
  const input = useRef<HTMLInputElement>(null);
  const click = (): void => {
    const pick = pickerOf(window);
    if (pick) onChoose(() => picked(pick));
    else input.current?.click();
  };
  return (
    <>
      <button type="button" onClick={click}>
        Open a model folder…
      </button>
      <input
        ref={input}
        type="file"
        {...FOLDERS}
        class="visually-hidden"
        aria-label="Model folder"
        tabIndex={-1}
        onChange={({ currentTarget }) => {
          const files = pathsOf(currentTarget.files ?? []);
          const name = files[0]?.path.split('/')[0] ?? '';
          if (files.length > 0) onChoose(async () => ({ kind: 'folder', name, folder: files }));
          // The same folder can be chosen again.
          currentTarget.value = '';
        }}
      />
    </>
  );
}

async function picked(pick: Picker): Promise<ModelSource | null> {
  try {
    const folder = await pick({ id: 'model', mode: 'read' });
    return { kind: 'folder', name: folder.name, folder };
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') return null;
    throw error;
  }
}
