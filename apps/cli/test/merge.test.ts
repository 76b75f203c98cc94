import { readFile, writeFile } from 'node:fs/promises';
import { openCheckpointFolder } from '@mindseye/tensor-core/node';
import { encodePng } from '@mindseye/qwen-vl/node';
import { counting } from '@mindseye/eval';
import { beforeAll, describe, expect, test } from 'vitest';
import { refuse, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

describe('merge', () => {
  const { at, copyOfModel } = useWorkspace();
  const merge = (out: string, ...more: string[]): string[] => [
    'merge',
    '--model',
    at('model'),
    '--adapter',
    at('adapter'),
    '--out',
    at(out),
    ...more,
  ];
  beforeAll(async () => {
    const small = ['--examples', '4', '--batch-size', '2', '--epochs', '1,1', '--latents', '3', '--lora-rank', '2'];
    const more = ['--learning-rate', '0.05', '--task', 'counting'];
    await succeed('train', '--model', at('model'), '--output', at('adapter'), ...small, ...more);
    await writeFile(at('scene.png'), await encodePng(counting.generate('test', 0).image));
  });

  test('writes a folder that answers as the adapter does, and knows its tokens', async () => {
    const summary = JSON.parse(await succeed(...merge('merged', '--json')));
    const source = await openCheckpointFolder(at('model'));
    expect(summary.tensors).toBe(source.names().length);
    expect(summary.changed).toBeGreaterThan(7);
    expect(summary.changed).toBeLessThan(summary.tensors);
    await source.close();
    const ask = (...model: string[]): Promise<string> =>
      succeed('ask', ...model, '--image', at('scene.png'), '--max-new-tokens', '8', '--json', 'How many red circles?');
    const [adapted, merged, base] = [
      JSON.parse(await ask('--model', at('model'), '--adapter', at('adapter'))),
      JSON.parse(await ask('--model', at('merged'))),
      JSON.parse(await ask('--model', at('model'))),
    ];
    expect(merged.answer).toBe(adapted.answer);
    expect(base.answer).not.toBe(adapted.answer);
    expect(
      JSON.parse(await readFile(at('merged', 'tokenizer.json'), 'utf8')).added_tokens.map(
        ({ content }: { content: string }) => content,
      ),
    ).toContain('<|latent_3|>');
  });

  test('keeps what it does not know in config.json, and files that it does not read', async () => {
    const copy = await copyOfModel('annotated');
    const config = { ...JSON.parse(await readFile(at('model', 'config.json'), 'utf8')), field_of_tomorrow: [1, null] };
    await writeFile(`${copy}/config.json`, JSON.stringify(config));
    await writeFile(`${copy}/LICENSE`, 'as it was');
    await succeed('merge', '--model', copy, '--adapter', at('adapter'), '--out', at('kept'));
    expect(JSON.parse(await readFile(at('kept', 'config.json'), 'utf8'))).toEqual(config);
    expect(await readFile(at('kept', 'LICENSE'), 'utf8')).toBe('as it was');
    const template = (text: string): unknown => JSON.parse(text).chat_template;
    expect(template(await readFile(at('kept', 'tokenizer_config.json'), 'utf8'))).toEqual(
      template(await readFile(`${copy}/tokenizer_config.json`, 'utf8')),
    );
  });

  test('does not write into a folder that is not empty, unless forced', async () => {
    await refuse(merge('model'), 1, /is not empty; choose another folder, or --force/);
    const copy = await copyOfModel('target');
    expect(await succeed(...merge('target', '--force'))).toMatch(/target: \d+ of \d+ tensors changed by the adapter/);
    expect(await readFile(`${copy}/model.safetensors`)).not.toEqual(await readFile(at('model', 'model.safetensors')));
  });

  test('refuses an adapter of another model, and a quantised model', async () => {
    await succeed('init', at('other'), '--preset', 'tiny');
    await refuse(
      ['merge', '--model', at('other'), '--adapter', at('adapter'), '--out', at('never')],
      1,
      /the adapter is of another model/,
    );
    const quantize = ['--format', 'int8', '--group-size', '32', '--no-evaluate'];
    await succeed('quantize', '--model', at('model'), '--out', at('small'), ...quantize);
    await refuse(
      ['merge', '--model', at('small'), '--adapter', at('adapter'), '--out', at('never')],
      1,
      /merge into the dense checkpoint and quantise the result/,
    );
  });
});
