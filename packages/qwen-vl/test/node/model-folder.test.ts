import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tinyConfig, tinyPreprocessorConfig } from '../../src/config/presets.js';
import { resolveGenerationConfig } from '../../src/config/generation-config.js';
import { ConfigError, ModelFolderError, TokenizerError, type InvalidInputError } from '../../src/errors.js';
import { openModelFolder, type OpenModelOptions } from '../../src/node/model-folder.js';
import { saveModelFiles } from '../../src/node/save-model-files.js';
import { ChatTemplate } from '../../src/tokenizer/chat-template.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { trainByteLevelBpe } from '../../src/tokenizer/train-bpe.js';
import { goldenPath } from '../support/golden.js';

/** Nothing here may ask a hub, whatever the environment says. */
const open = (path: string, parts?: OpenModelOptions['parts']) =>
  openModelFolder(path, { ...(parts && { parts }), fetch: () => Promise.reject(new Error('a request was made')) });

let base = '';
beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'model-folder-'));
});
afterAll(() => rm(base, { recursive: true, force: true }));

/** A copy of the golden checkpoint without its weights, to be damaged. */
async function copyOfTiny(name: string): Promise<string> {
  const folder = join(base, name);
  await cp(goldenPath('models/tiny-tied'), folder, {
    recursive: true,
    filter: (path) => !path.endsWith('.safetensors'),
  });
  return folder;
}

const image = { data: new Uint8Array(16 * 16 * 3), width: 16, height: 16, channels: 3 } as const;

describe('a checkpoint of transformers', () => {
  test('is read whole', async () => {
    const folder = await open(goldenPath('models/tiny-tied'));
    expect([...folder.files.names].sort()).toEqual([
      'config.json',
      'generation_config.json',
      'model.safetensors',
      'preprocessor_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ]);
    expect((await folder.config()).textConfig.hiddenSize).toBe(64);
    expect((await folder.generationConfig()).repetitionPenalty).toBe(1.05);
    const processor = await folder.processor();
    expect(processor.ask('How many?', [image]).imageSpans).toEqual([
      { start: expect.any(Number) as number, length: 4 },
    ]);
  });

  test('sharded weights count as weights, and only what is needed is asked for', async () => {
    const path = goldenPath('models/tiny-untied');
    expect((await open(path, ['config', 'weights', 'images'])).has('model.safetensors.index.json')).toBe(true);
    await expect(open(path)).rejects.toThrow(/tiny-untied: missing tokenizer\.json; download the whole checkpoint/);
  });

  test('two tokenizers of one folder are two', async () => {
    const folder = await open(goldenPath('models/tiny-tied'));
    const [first, second] = [await folder.tokenizer(), await folder.tokenizer()];
    first.addTokens(['<|latent_0|>']);
    expect(second.tokenToId('<|latent_0|>')).toBeUndefined();
  });
});

describe('folders that cannot be used', () => {
  test('every missing file is named at once', async () => {
    await mkdir(join(base, 'empty'));
    await expect(open(join(base, 'empty'))).rejects.toThrow(
      /empty: missing config\.json, model\.safetensors or model\.safetensors\.index\.json, tokenizer\.json, preprocessor_config\.json or processor_config\.json; download/,
    );
    await expect(open(join(base, 'none'))).rejects.toThrow(/none: no such folder/);
    await expect(open(goldenPath('models/tiny-tied/config.json'))).rejects.toThrow(/not a folder/);
    await expect(open(join(base, 'none'))).rejects.toThrow(ModelFolderError);
  });

  test('a file asked for later that is not there', async () => {
    const folder = await open(join(base, 'empty'), []);
    await expect(folder.config()).rejects.toThrow(/missing config\.json/);
    expect((await folder.chatTemplate()).render([{ role: 'user', content: 'hi' }])).toContain('user\nhi');
  });

  test.each<readonly [string, string | Uint8Array, RegExp, new (message: string) => InvalidInputError]>([
    [
      'config.json',
      '{"model_type": ',
      /config\.json: not valid JSON \(.*\); download the file again/,
      ModelFolderError,
    ],
    ['config.json', '', /config\.json: not valid JSON/, ModelFolderError],
    ['config.json', '[]', /config\.json: the file must hold a JSON object/, ConfigError],
    ['config.json', Uint8Array.of(0xff, 0xfe, 0x7b), /config\.json: the file is not UTF-8 text/, ModelFolderError],
    ['config.json', '['.repeat(200_000), /config\.json: not valid JSON|Maximum call stack/, ModelFolderError],
    ['tokenizer.json', '{"model": {"type": "BPE"}}', /tokenizer\.json: /, TokenizerError],
    [
      'preprocessor_config.json',
      '{"patch_size": 14}',
      /patch_size 14 does not fit config\.json vision_config\.patch_size 4/,
      ConfigError,
    ],
  ])('%s holding %.20j', async (name, content, message, type) => {
    const path = await copyOfTiny(`damaged-${name}-${content.length}`);
    await writeFile(join(path, name), content);
    const folder = await open(path, []);
    await expect(folder.processor()).rejects.toThrow(message);
    await expect(folder.processor()).rejects.toThrow(type);
    await expect(folder.processor()).rejects.toThrow(/^[^\n]*$/);
  });

  test('a file that claims to be a config but is huge is refused before it is read', async () => {
    const path = await copyOfTiny('huge');
    await truncate(join(path, 'config.json'), 65 * 2 ** 20); // sparse: takes no room on disk
    await expect((await open(path, [])).config()).rejects.toThrow(/68157440 bytes, above the limit of 67108864/);
  });

  test('a folder where a file should be', async () => {
    const path = join(base, 'directory');
    await mkdir(join(path, 'config.json'), { recursive: true });
    await expect(open(path, ['config'])).rejects.toThrow(/directory: missing config\.json/);
  });
});

describe('saving', () => {
  const corpus = ['How many red circles are there in the image?', 'You are a helpful assistant. system user 12 7'];

  test('what is saved is what is read, with new tokens and the chat template', async () => {
    const { tokenizerJson, tokenizerConfig } = trainByteLevelBpe(corpus, 290);
    const tokenizer = Tokenizer.fromJson(tokenizerJson, tokenizerConfig);
    const latents = tokenizer.addTokens(['<|latent_0|>', '<|latent_1|>']);
    const config = tinyConfig(290);
    const generation = resolveGenerationConfig(undefined, config);
    const path = join(base, 'saved', 'deep');
    const preprocessor = tinyPreprocessorConfig();
    await saveModelFiles(path, { config, preprocessor, generation, tokenizer, chatTemplate: new ChatTemplate() });

    expect((await readdir(path)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const folder = await open(path, ['config', 'tokenizer', 'images']);
    expect(await folder.config()).toEqual(config);
    expect(await folder.preprocessorConfig()).toEqual(preprocessor);
    expect(await folder.generationConfig()).toEqual(generation);
    const processor = await folder.processor();
    expect(processor.tokenizer.addedTokens).toEqual(tokenizer.addedTokens);
    expect(latents.map((id) => processor.tokenizer.idToToken(id))).toEqual(['<|latent_0|>', '<|latent_1|>']);
    expect(processor.tokenizer.multimodalTokenIds()).toEqual({
      imageTokenId: config.imageTokenId,
      videoTokenId: config.videoTokenId,
      visionStartTokenId: config.visionStartTokenId,
      visionEndTokenId: config.visionEndTokenId,
    });
    const big = { data: new Uint8Array(112 * 112 * 3), width: 112, height: 112, channels: 3 } as const;
    expect(processor.ask('How many red circles are there in the image?', [big]).imageSpans[0]!.length).toBe(16);
  });

  test('a folder that cannot be made is named', async () => {
    const file = join(base, 'a-file');
    await writeFile(file, '');
    await expect(saveModelFiles(join(file, 'sub'), { config: tinyConfig() })).rejects.toThrow(
      /a-file.*cannot create the folder/,
    );
    expect(await readFile(file, 'utf8')).toBe('');
  });
});
