import { cp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Outcome, mindseye, succeed } from './support/command.js';
import { useWorkspace } from './support/workspace.js';

const EXAMPLE = path.resolve(import.meta.dirname, '../../../examples/tiny-livr');

describe('inspect', () => {
  const { at, copyOfModel } = useWorkspace();

  /** A model that is not whole: all that is known is printed, what is wrong is the error. */
  async function complain(model: string, message: RegExp): Promise<Outcome> {
    const outcome = await mindseye(['inspect', model]);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr).toMatch(/^error: [^\n]+\n$/);
    expect(outcome.code).toBe(1);
    return outcome;
  }

  test('a model: sizes, weights, tokenizer, template, images', async () => {
    const report = JSON.parse(await succeed('inspect', path.join(EXAMPLE, 'model'), '--json'));
    expect(report).toMatchObject({
      kind: 'model',
      repository: null,
      missing: [],
      problems: [],
      parameters: 776_320,
      quantization: null,
      config: { tieWordEmbeddings: true, textConfig: { hiddenSize: 96, numHiddenLayers: 4 } },
      tokenizer: { vocabulary: 406, added: 22, latents: [] },
      chatTemplate: true,
      videoPreprocessor: false,
      weights: { loaded: 104, missing: [], unexpected: [], mismatched: [], dtypes: { BF16: 104 }, parameters: 776_320 },
      adapter: null,
    });
    expect(report.files).toContainEqual({ name: 'model.safetensors', bytes: 1_564_208 });
    const text = await succeed('inspect', path.join(EXAMPLE, 'model'));
    expect(text).toMatch(/776,320 parameters\n.*104 tensors, 0 missing, 0 unexpected, 0 mismatched/s);
    expect(text).toMatch(/model\.safetensors 1\.56 MB/);
  });

  test('an adapter: rank, layers, rows, and the tokens of its latents', async () => {
    const report = JSON.parse(await succeed('inspect', path.join(EXAMPLE, 'adapter'), '--json'));
    expect(report).toMatchObject({ kind: 'adapter', adapter: { rank: 16, alpha: 32, layers: 28 }, weights: null });
    expect(report.adapter.tokenRows).toHaveLength(16);
    expect(report.tokenizer.latents).toHaveLength(16);
    expect(report.tokenizer.latents[15]).toBe('<|latent_16|>');
    expect(await succeed('inspect', path.join(EXAMPLE, 'adapter'))).toMatch(/LoRA of rank 16, alpha 32, on 28 layers/);
  });

  test('what is missing is named, all of it, and the rest is shown', async () => {
    const model = await copyOfModel('lacking');
    await rm(path.join(model, 'tokenizer.json'));
    await rm(path.join(model, 'model.safetensors'));
    const { stdout } = await complain(
      model,
      /lacking lacks model\.safetensors or model\.safetensors\.index\.json, tokenizer\.json; download the whole checkpoint/,
    );
    expect(stdout).toMatch(/model +qwen2_5_vl, [\d,]+ parameters/);
    expect(stdout).toMatch(/images +[\d,]+ to [\d,]+ pixels/);
    expect(stdout).toMatch(/missing +tokenizer\.json/);
    await complain(at('none'), /none: no such folder/);
  });

  test('weights of another model: missing and mismatched tensors are counted and named', async () => {
    const model = await copyOfModel('other');
    const file = path.join(model, 'config.json');
    const json = await readFile(file, 'utf8');
    await writeFile(file, json.replaceAll('"intermediate_size": 128', '"intermediate_size": 160'));
    const { stdout } = await complain(
      model,
      /other\/config\.json: intermediate_size is 160, the tensors .* make it 128/,
    );
    expect(stdout).toMatch(/weights +\d+ tensors, 0 missing, 0 unexpected, [1-9]\d* mismatched \(.*128.*160/);
    await writeFile(file, json);
    await cp(path.join(EXAMPLE, 'adapter/adapter_model.safetensors'), path.join(model, 'model.safetensors'));
    const adapter = await complain(model, /tensors are missing or do not fit config\.json; take weights and config/);
    expect(adapter.stdout).toMatch(/weights +0 tensors, [1-9]\d* missing \(model\..*, …\), [1-9]\d* unexpected/);
  });

  test('a broken part hides nothing of the others', async () => {
    const model = await copyOfModel('broken');
    await truncate(path.join(model, 'model.safetensors'), 1000);
    await writeFile(path.join(model, 'preprocessor_config.json'), '{');
    const { stdout } = await complain(model, /broken: 2 problems, the first: .*/);
    expect(stdout).toMatch(/tokenizer +\d+ tokens/);
    expect(stdout).toMatch(/problem +.*preprocessor_config\.json: not valid JSON/);
    expect(stdout).toMatch(/problem +.*model\.safetensors: /);
  });

  test('a pointer of Git LFS in place of the weights', async () => {
    const model = await copyOfModel('cloned');
    await writeFile(
      path.join(model, 'model.safetensors'),
      `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 3968658944\n`,
    );
    const { stdout } = await complain(model, /lacks model\.safetensors; run `git lfs pull` in the folder/);
    expect(stdout).toMatch(/missing +model\.safetensors, 3\.97 GB/);
  });
});
