/**
 * Makes the pictures in examples/: two samples of the counting task's test split, each pixel enlarged to 4 × 4 so that a person can
 * see them, one as PNG and one as JPEG, and the README that says what they show.
 *
 *   pnpm --filter @mindseye/eval examples
 */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { counting } from '@mindseye/eval';
import type { RgbImage } from '@mindseye/eval';
import sharp, { type Sharp } from 'sharp';

const ENLARGEMENT = 4;

/** The pictures: file name and index in the test split. */
const EXAMPLES: readonly (readonly [file: string, index: number])[] = [
  ['counting.png', 2],
  ['counting.jpg', 7],
];

/** Encoders by file ending. JPEG keeps full colour resolution, or the edges of small objects would bleed. */
const ENCODERS: Readonly<Record<string, (picture: Sharp) => Sharp>> = {
  png: (picture) => picture.png({ compressionLevel: 9, adaptiveFiltering: true }),
  jpg: (picture) => picture.jpeg({ quality: 95, chromaSubsampling: '4:4:4' }),
};

const folder = new URL('../../../examples/', import.meta.url);

async function save(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = new URL(`.${file}.tmp`, folder);
  await writeFile(temporary, content);
  await rename(temporary, new URL(file, folder));
}

async function encode(image: RgbImage, file: string): Promise<Uint8Array> {
  const { data, width, height, channels } = image;
  const enlarged = sharp(data, { raw: { width, height, channels } }).resize(width * ENLARGEMENT, height * ENLARGEMENT, {
    kernel: 'nearest',
  });
  const encoder = ENCODERS[file.split('.').at(-1) ?? ''];
  if (encoder === undefined)
    throw new Error(`${file}: no encoder; end the name in ${Object.keys(ENCODERS).join(' or ')}`);
  return encoder(enlarged).toBuffer();
}

await mkdir(folder, { recursive: true });
const rows: string[] = [];
for (const [file, index] of EXAMPLES) {
  const { id, image, question, answer } = counting.generate('test', index);
  await save(file, await encode(image, file));
  rows.push(`| [${file}](${file}) | ${question} | ${answer} | \`${id}\` |`);
}
await save(
  'README.md',
  [
    '# Example pictures',
    '',
    'Two generated scenes of the counting task, from its test split, which is never trained on.',
    '',
    '| picture | question | answer | sample |',
    '| --- | --- | --- | --- |',
    ...rows,
    '',
    `A scene is 112 × 112 pixels, four by four cells of 28; here each pixel is ${ENLARGEMENT} × ${ENLARGEMENT}. Generator version ` +
      `${counting.version}. Made by`,
    '',
    '```sh',
    'npx -y pnpm@12.21.0 --filter @mindseye/eval examples',
    '```',
    '',
  ].join('\n'),
);
