import { readFile } from 'node:fs/promises';
import { openModelFolder } from '@mindseye/qwen-vl/node';
import { counting } from '@mindseye/eval';
import { describe, expect, test } from 'vitest';
import { refuse, succeed } from './support/command.js';
import { contentOf, useWorkspace } from './support/workspace.js';

describe('init', () => {
  const { at } = useWorkspace();

  test('makes a folder that opens, whose tokenizer writes a question of the task in few tokens', async () => {
    const folder = await openModelFolder(at('model'));
    const { tokenizer } = await folder.processor();
    const { question } = counting.describe('test', 0);
    const ids = tokenizer.encode(question);
    expect(tokenizer.decode(ids)).toBe(question);
    expect(ids.length).toBeLessThan(question.split(' ').length * 2);
    expect(tokenizer.vocabularySize).toBe(406);
    expect((await folder.config()).imageTokenId).toBe(tokenizer.requireId('<|image_pad|>'));
    expect((await folder.generationConfig()).eosTokenIds).toEqual([tokenizer.requireId('<|im_end|>')]);
  });

  test('is the same for the same seed and another for another', async () => {
    await succeed('init', at('again'), '--preset', 'nano');
    await succeed('init', at('other'), '--preset', 'nano', '--seed', '1');
    expect(await contentOf(at('again'))).toEqual(await contentOf(at('model')));
    const weights = 'model.safetensors';
    expect(await readFile(at('other', weights))).not.toEqual(await readFile(at('model', weights)));
  });

  test('does not write into a folder that is not empty, unless forced', async () => {
    await refuse(['init', at('model'), '--preset', 'nano'], 1, /is not empty; choose another folder, or --force/);
    await succeed('init', at('model'), '--preset', 'nano', '--force');
  });

  test('--json tells what was made', async () => {
    const summary = JSON.parse(await succeed('init', at('json'), '--preset', 'nano', '--json'));
    expect(summary).toMatchObject({ folder: at('json'), preset: 'nano', seed: 0 });
  });
});
