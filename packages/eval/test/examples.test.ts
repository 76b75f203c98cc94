import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { cellsOf, counting } from '../src/index.js';
import { readCells } from './support/cell-reader.js';

const folder = new URL('../../../examples/', import.meta.url);
const readme = await readFile(new URL('README.md', folder), 'utf8');
const rows = [...readme.matchAll(/^\| \[(\S+)\]\(\1\) \| (.+) \| (\d+) \| `counting\/test\/(\d+)` \|$/gm)].map(
  ([, file = '', question = '', answer = '', index = '']) => ({ file, question, answer, index: Number(index) }),
);

/** The picture at `size`, as interleaved RGB. */
async function decode(file: string, kernel: 'nearest' | 'cubic', size: number): Promise<Uint8Array> {
  const picture = sharp(fileURLToPath(new URL(file, folder))).resize(size, size, { kernel });
  return new Uint8Array(await picture.removeAlpha().raw().toBuffer());
}

test('there is a PNG and a JPEG', () => {
  expect(rows.map(({ file }) => file)).toEqual(['counting.png', 'counting.jpg']);
});

describe.each(rows)('examples/$file', ({ file, question, answer, index }) => {
  const sample = counting.generate('test', index);

  test('asks and answers as its sample does', () => {
    expect({ question, answer }).toEqual({ question: sample.question, answer: sample.answer });
  });

  test('is its sample enlarged four times', async () => {
    const pixels = await decode(file, 'nearest', 448);
    let largest = 0;
    for (let place = 0; place < 448 * 448; place++) {
      const source = Math.floor(place / 448 / 4) * 112 + Math.floor((place % 448) / 4);
      for (let channel = 0; channel < 3; channel++) {
        largest = Math.max(
          largest,
          Math.abs((pixels[3 * place + channel] ?? 0) - (sample.image.data[3 * source + channel] ?? 0)),
        );
      }
    }
    // PNG is exact; JPEG is lossy, most at edges.
    if (file.endsWith('.png')) expect(largest).toBe(0);
    else expect(largest).toBeLessThan(64);
  });

  test('can still be read cell by cell when it is reduced to 112 × 112 with a bicubic filter', async () => {
    const data = await decode(file, 'cubic', 112);
    expect(readCells({ data, width: 112, height: 112, channels: 3 })).toEqual(cellsOf(sample.metadata.scene));
  });
});
