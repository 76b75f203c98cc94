/** What the build found beside the page: models and example pictures (see vite/example-files.ts). */
import type { ModelSource, PictureSource } from '../worker/protocol.js';

/** The model that this page is made for, trained by this project. */
export const MODEL_FOLDER = 'models/tiny-livr/';

/** The pictures in `examples/`, with what its README says of them. */
const EXAMPLE_PICTURES = [
  { name: 'counting.png', question: 'How many red circles are there in the image?', answer: '6' },
  { name: 'counting.jpg', question: 'How many green squares are there in the image?', answer: '5' },
] as const;

export interface Catalog {
  /** Null when the folder is not there, or holds no configuration. */
  readonly model: ModelSource | null;
  readonly pictures: readonly Extract<PictureSource, { kind: 'example' }>[];
}

/** @param page address of the page, which the files lie under */
export async function readCatalog(page: string): Promise<Catalog> {
  const address = new URL('models/catalog.json', page).href;
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} answers with status ${response.status}: build the page again`);
  return catalogOf(await response.json(), page);
}

/** @throws Error when the file is not what the build writes */
export function catalogOf(json: unknown, page: string): Catalog {
  const listed: unknown = typeof json === 'object' && json !== null && 'files' in json ? json.files : undefined;
  if (!Array.isArray(listed) || !listed.every((file) => typeof file === 'string')) {
    throw new Error('models/catalog.json has no list "files": build the page again');
  }
  const names = new Set<string>(listed);
  const files = [...names]
    .filter((name) => name.startsWith(MODEL_FOLDER))
    .map((name) => name.slice(MODEL_FOLDER.length));
  const base = new URL(MODEL_FOLDER, page).href;
  return {
    model: files.includes('config.json') ? { kind: 'files', base, files } : null,
    pictures: EXAMPLE_PICTURES.filter(({ name }) => names.has(`pictures/${name}`)).map((picture) => ({
      kind: 'example',
      address: new URL(`pictures/${picture.name}`, page).href,
      ...picture,
    })),
  };
}
