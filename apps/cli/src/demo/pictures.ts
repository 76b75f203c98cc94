/** The pictures and the trained model that come with the repository. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { counting } from '@mindseye/eval';
import { CommandError } from '../shared/errors.js';

/** Test samples of the counting task that lie in `examples/` as pictures. */
const PICTURES: readonly { readonly file: string; readonly sample: number }[] = [
  { file: 'counting.png', sample: 2 },
  { file: 'counting.jpg', sample: 7 },
];

export interface DemoQuestion {
  readonly image: string;
  readonly question: string;
  /** The right answer, where it is known. */
  readonly gold?: string;
}

export function exampleQuestions(examples: string): DemoQuestion[] {
  return PICTURES.map(({ file, sample }) => {
    const { question, answer } = counting.describe('test', sample);
    return { image: path.join(examples, file), question, gold: answer };
  });
}

export interface ModelFolders {
  readonly model: string;
  readonly adapter: string;
}

/** The trained example model. @throws CommandError saying how to make it, where it is not there */
export async function exampleModel(examples: string): Promise<ModelFolders> {
  const [model, adapter] = [path.join(examples, 'tiny-livr', 'model'), path.join(examples, 'tiny-livr', 'adapter')];
  if ((await isFolder(model)) && (await isFolder(adapter))) return { model, adapter };
  throw new CommandError(
    `${path.dirname(model)} has no trained model; name one with --model and --adapter, or make it again with the commands in ` +
      'examples/tiny-livr/README.md',
  );
}

/** The folder `examples` of the repository that this program is in. */
export async function examplesFolder(): Promise<string> {
  for (let folder = import.meta.dirname; folder !== path.dirname(folder); folder = path.dirname(folder)) {
    const examples = path.join(folder, 'examples');
    if ((await isFolder(examples)) && (await isFile(path.join(examples, PICTURES[0]!.file)))) return examples;
  }
  throw new CommandError(
    'the example pictures come with the repository and are not here; name your own: mindseye demo <image> <question> --model <folder> --adapter <folder>',
  );
}

const isFolder = (location: string): Promise<boolean> =>
  stat(location).then(
    (found) => found.isDirectory(),
    () => false,
  );
const isFile = (location: string): Promise<boolean> =>
  stat(location).then(
    (found) => found.isFile(),
    () => false,
  );
