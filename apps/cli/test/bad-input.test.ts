/** Whatever is wrong with what the user gives: one line that names the thing, a non-zero exit code, and no file left behind. */
import { copyFile, readFile, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { counting } from '@mindseye/eval';
import { encodePng } from '@mindseye/qwen-vl/node';
import { beforeAll, describe, expect, test } from 'vitest';
import { refuse, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

describe('bad input', () => {
  const { at, copyOfModel } = useWorkspace();
  const ask = (model: string, image: string, ...more: string[]): string[] => [
    'ask',
    '--model',
    model,
    '--image',
    image,
    ...more,
    'How many?',
  ];

  beforeAll(async () => {
    await writeFile(at('scene.png'), await encodePng({ ...counting.generate('test', 0).image, channels: 3 }));
  });

  /** The same damaged model is refused by every command that opens one, and training leaves nothing behind. */
  async function refuseModel(model: string, message: RegExp): Promise<void> {
    await refuse(ask(model, at('scene.png'), '--heatmap', at('never.png')), 1, message);
    await refuse(['eval', '--model', model, '--task', 'counting', '--output', at('never.jsonl')], 1, message);
    await refuse(['train', '--model', model, '--task', 'counting', '--output', at('never')], 1, message);
    expect((await readdir(at())).filter((name) => name.includes('never'))).toEqual([]);
  }

  async function damage(name: string, file: string, change: (content: string) => string): Promise<string> {
    const model = await copyOfModel(name);
    await writeFile(path.join(model, file), change(await readFile(path.join(model, file), 'utf8')));
    return model;
  }

  test('a missing folder, and a folder that lacks files', async () => {
    await refuseModel(at('nowhere'), /nowhere: no such folder; name a checkpoint folder/);
    const model = await copyOfModel('incomplete');
    await rm(path.join(model, 'model.safetensors'));
    await rm(path.join(model, 'tokenizer.json'));
    await refuseModel(model, /missing model\.safetensors or model\.safetensors\.index\.json, tokenizer\.json/);
  });

  test('a truncated safetensors file', async () => {
    const model = await copyOfModel('truncated');
    await truncate(path.join(model, 'model.safetensors'), 100_000);
    await refuseModel(model, /model\.safetensors: /);
  });

  test('a safetensors header that lies about its length, and one that lies about a tensor', async () => {
    const model = await copyOfModel('lying');
    const file = path.join(model, 'model.safetensors');
    const bytes = await readFile(file);
    const length = Buffer.from(bytes);
    length.writeBigUInt64LE(2n ** 62n);
    await writeFile(file, length);
    await refuseModel(model, /model\.safetensors: .*header/);
    await writeFile(
      file,
      Buffer.from(bytes.toString('latin1').replace('"data_offsets":[0,', '"data_offsets":[4,'), 'latin1'),
    );
    await refuseModel(model, /model\.safetensors: tensor/);
  });

  test('a tensor of another shape than config.json says', async () => {
    const model = await damage('wider', 'config.json', (json) =>
      json.replaceAll('"intermediate_size": 128', '"intermediate_size": 160'),
    );
    await refuseModel(
      model,
      /config\.json: intermediate_size is 160, the tensors of the checkpoint make it 128 .*take config\.json and weights from one/,
    );
  });

  test('an unknown architecture, and a file that is not JSON', async () => {
    const other = await damage('other', 'config.json', (json) => json.replaceAll('qwen2_5_vl', 'kwyjibo'));
    await refuseModel(other, /config\.json: .*"kwyjibo/);
    await refuseModel(
      await damage('broken', 'config.json', (json) => json.slice(0, 50)),
      /config\.json: not valid JSON/,
    );
    await refuseModel(await damage('mute', 'tokenizer.json', () => '{}'), /tokenizer\.json: /);
  });

  test('an adapter of another model, and half an adapter', async () => {
    await succeed('init', at('tiny'));
    const quick = [
      '--task',
      'counting',
      '--examples',
      '1',
      '--batch-size',
      '1',
      '--epochs',
      '1,0',
      '--latents',
      '2',
      '--lora-rank',
      '2',
    ];
    await succeed('train', '--model', at('tiny'), '--output', at('adapter'), ...quick);
    await refuse(
      ask(at('model'), at('scene.png'), '--adapter', at('adapter')),
      1,
      /adapter: .*the adapter is of another model/,
    );
    await rm(at('adapter', 'adapter_config.json'));
    await refuse(
      ask(at('tiny'), at('scene.png'), '--adapter', at('adapter')),
      1,
      /adapter: missing adapter_config\.json/,
    );
    await refuse(ask(at('tiny'), at('scene.png'), '--adapter', at('none')), 1, /none: no such folder/);
  });

  test('weights that are not numbers', async () => {
    const model = await copyOfModel('nan');
    const file = path.join(model, 'model.safetensors');
    const bytes = await readFile(file);
    bytes.fill(0xff, bytes.length - 4096);
    await writeFile(file, bytes);
    await refuse(
      ['train', '--model', model, '--task', 'counting', '--output', at('diverged'), '--trains', 'full'],
      1,
      /the loss became NaN in step 1 of stage .*lower the learning rate/,
    );
  });

  test('a missing, corrupt, truncated or absurdly large image', async () => {
    const png = await readFile(at('scene.png'));
    await refuse(ask(at('model'), at('none.png')), 1, /none\.png: no such file; check the path/);
    await refuse(ask(at('model'), at()), 1, /not a file|cannot be read/);
    await writeFile(at('empty.png'), '');
    await refuse(ask(at('model'), at('empty.png')), 1, /empty\.png: the file is empty/);
    await writeFile(at('text.png'), 'this is no image');
    await refuse(ask(at('model'), at('text.png')), 1, /text\.png: /);
    await writeFile(at('half.png'), png.subarray(0, png.length / 2));
    await refuse(ask(at('model'), at('half.png')), 1, /half\.png: the image is corrupt or truncated/);
    const huge = Buffer.from(png);
    huge.writeUInt32BE(1_000_000, 16);
    huge.writeUInt32BE(1_000_000, 20);
    await writeFile(at('huge.png'), huge);
    await refuse(ask(at('model'), at('huge.png')), 1, /huge\.png: 1000000 x 1000000 pixels are above the limit/);
  });

  test('unknown options, commands and values', async () => {
    await refuse(
      [...ask(at('model'), at('scene.png')), '--hetmap', 'x.png'],
      2,
      /unknown option '--hetmap'.*--heatmap.*see mindseye ask --help/,
    );
    await refuse(['trian'], 2, /unknown command 'trian'/);
    await refuse(['ask', 'How many?'], 2, /required option '--model <model>' not specified/);
    await refuse(
      ask(at('model'), at('scene.png'), '--max-new-tokens', '1e9'),
      2,
      /--max-new-tokens <n>.*Give a whole number from 1 to 65536/,
    );
    await refuse(
      ask(at('model'), at('scene.png'), '--device', 'abacus'),
      2,
      /Allowed choices are auto, wasm, webgpu, reference/,
    );
    await refuse(
      ask(at('model'), at('scene.png'), '--threads', '0'),
      2,
      /--threads <count>.*whole number from 1 to 256/,
    );
    await refuse(ask(at('model'), at('scene.png'), '--tier', 'avx'), 2, /choices are simd128, relaxed, revectorized/);
    await refuse(
      ask(at('model'), at('scene.png'), '--device', 'reference', '--threads', '2'),
      2,
      /--threads and --tier are for the CPU device: leave them out, or --device reference/,
    );
  });

  test('a damaged checkpoint or log of an interrupted run', async () => {
    const quick = [
      '--task',
      'counting',
      '--examples',
      '1',
      '--batch-size',
      '1',
      '--epochs',
      '1,0',
      '--latents',
      '2',
      '--resume',
    ];
    const train = ['train', '--model', at('model'), '--output', at('stopped'), ...quick];
    await succeed('init', at('stopped'), '--preset', 'nano');
    await copyFile(at('scene.png'), at('stopped', 'checkpoint.safetensors'));
    await refuse(train, 1, /checkpoint\.safetensors: /);
    await copyFile(at('stopped', 'model.safetensors'), at('stopped', 'checkpoint.safetensors'));
    await refuse(train, 1, /checkpoint\.safetensors cannot be resumed/);
  });
});
