/**
 * The fuzz set: whatever a stranger's file holds, a typed error of one line or something that works.
 *
 *   test/fuzz/tokenizer-files.test.ts     tokenizer.json and tokenizer_config.json                       2,300 cases
 *   test/fuzz/template-files.test.ts      chat_template.jinja, .json and programs made up from parts     1,500 cases
 *   test/fuzz/settings-files.test.ts      generation_config.json, preprocessor_config.json and kin         900 cases
 *   test/load/fuzz.test.ts                safetensors headers, indices, config.json, quantised layouts   4,700 cases
 *   test/node/image-fuzz.test.ts          image files and headers                                          8,000 cases
 *
 * Each part draws a new seed on every run. Those in this folder and test/load print it always, the image part when a case fails.
 * Time is bounded by construction, not by a clock: the limits stand beside the code (`MAX_…`).
 *
 * Not covered: the pixel limits of preprocessor_config.json at work (see settings-files.test.ts).
 *
 * Those in this folder go through `ModelFolder`, from bytes in memory to text and ids, as a downloaded checkpoint does.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InvalidInputError } from '../../src/errors.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { fuzz, HOSTILE_STRINGS, mutatedJson, mutatedText, POISONED_KEYS, valueOrTypedError } from '../support/fuzz.js';
import { goodFile, openWith } from './support/memory-folder.js';

const TEXT = `How many?  12 <|im_end|>e\u0301 数😀\r\n\u0085 __proto__ <tool_call> ${'ab'.repeat(40)} \ud83d`;

/** Does everything a tokenizer can; what it promises must hold for any file it was made from. */
function exercise(tokenizer: Tokenizer): void {
  for (const parseSpecialTokens of [false, true]) {
    const ids = tokenizer.encode(TEXT, { parseSpecialTokens });
    for (const id of ids) expect(tokenizer.idToToken(id)).toBeTypeOf('string');
    for (const skipSpecialTokens of [false, true]) {
      const stream = tokenizer.decodeStream({ skipSpecialTokens });
      const streamed = ids.map((id) => stream.push(id)).join('') + stream.end();
      expect(streamed).toBe(tokenizer.decode(ids, { skipSpecialTokens }));
    }
    if (!parseSpecialTokens) expect(ids.filter((id) => tokenizer.specialTokenIds.has(id))).toEqual([]);
  }
  // An added token decodes as byte-level characters do, so only one of plain ASCII stands for its own text.
  if (tokenizer.addedTokens.every(({ content }) => /^[!-~]+$/.test(content))) {
    const decoded = tokenizer.decode(tokenizer.encode(TEXT));
    expect(decoded.normalize('NFC')).toBe(TEXT.toWellFormed().normalize('NFC'));
  }
  tokenizer.splitSpecialTokens(TEXT);
  const [added] = tokenizer.addTokens(['<|fuzz|>']);
  const again = Tokenizer.fromJson(JSON.parse(JSON.stringify(tokenizer.toJson())), tokenizer.configToJson());
  expect(again.tokenToId('<|fuzz|>')).toBe(added);
  expect(again.encode(TEXT)).toEqual(tokenizer.encode(TEXT));
}

async function tryTokenizer(name: 'tokenizer.json' | 'tokenizer_config.json', text: string): Promise<void> {
  const folder = await valueOrTypedError(() => openWith({ [name]: text }));
  if (folder instanceof InvalidInputError) return;
  const tokenizer = await valueOrTypedError(() => folder.tokenizer());
  if (tokenizer instanceof InvalidInputError) return;
  await valueOrTypedError(() => tokenizer.multimodalTokenIds());
  exercise(tokenizer);
}

const base = goodFile('tokenizer.json');

test('the good files work', async () => {
  exercise(await (await openWith({})).tokenizer());
});

test('a value a hundred thousand lists deep, where nothing is expected and where something is', async () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000);
  await tryTokenizer('tokenizer_config.json', `{"deep": ${deep}}`);
  for (const field of ['version', 'normalizer', 'model', 'added_tokens']) {
    const folder = await openWith({ 'tokenizer.json': base.replace(/\{/, `{"${field}": ${deep},`) });
    const tokenizer = await valueOrTypedError(() => folder.tokenizer());
    if (tokenizer instanceof Tokenizer) expect(tokenizer.decode(tokenizer.encode('text'))).toBe('text');
  }
});

test('tokenizer.json with wrong values', async () => {
  await fuzz('tokenizer.json, values', 900, mutatedJson(base), (json) =>
    tryTokenizer('tokenizer.json', JSON.stringify(json) ?? ''),
  );
});

test('tokenizer.json with wrong bytes', async () => {
  const pieces = [...HOSTILE_STRINGS, '{', '}', '[', ']', ',', '"', '\\', '\\u', '1e999', '-', '"__proto__":', 'null'];
  await fuzz('tokenizer.json, text', 500, mutatedText(base, pieces, 2), (text) => tryTokenizer('tokenizer.json', text));
});

test('vocabularies, merges and added tokens at their limits', async () => {
  const token = fc.oneof(
    fc.constantFrom('a', 'b', 'ab', 'ba', 'Ġ', 'Ġa', '<|im_end|>', '<', '数', '\ud800', '', ...POISONED_KEYS),
    fc.string({ unit: fc.constantFrom('a', 'b', 'Ġ'), maxLength: 6 }),
  );
  const id = fc.oneof(fc.nat(600), fc.constantFrom<unknown>(-1, 0.5, 2 ** 21 - 1, 2 ** 21, 2 ** 32, '1', null));
  const merge = fc.oneof(
    fc.tuple(token, token),
    fc.tuple(token, token).map(([left, right]) => `${left} ${right}`),
    token,
  );
  const flags = fc.record({ special: fc.boolean(), normalized: fc.boolean() }, { requiredKeys: [] });
  const changes = fc.record({
    vocab: fc.array(fc.tuple(token, id), { maxLength: 8 }),
    merges: fc.array(merge, { maxLength: 12 }),
    repeats: fc.constantFrom(1, 1, 1, 500),
    added: fc.array(fc.tuple(token, id, flags), { maxLength: 6 }),
    pattern: fc.option(fc.constantFrom('(a+)+$', '(?:', '\\p{L}+', '(.*)*\\1', 'x'.repeat(9999)), { freq: 20 }),
  });
  await fuzz('tokenizer.json, vocabulary', 600, changes, async ({ vocab, merges, repeats, added, pattern }) => {
    const file = JSON.parse(base) as {
      added_tokens: unknown[];
      pre_tokenizer: { pretokenizers: [{ pattern: { Regex: string } }] };
      model: { vocab: Record<string, unknown>; merges: unknown[] };
    };
    for (const [name, value] of vocab) {
      Object.defineProperty(file.model.vocab, name, { value, enumerable: true, configurable: true, writable: true });
    }
    for (let time = 0; time < repeats; time++) file.model.merges.push(...merges);
    for (const [content, value, rest] of added) file.added_tokens.push({ content, id: value, ...rest });
    if (pattern !== null) file.pre_tokenizer.pretokenizers[0].pattern.Regex = pattern;
    await tryTokenizer('tokenizer.json', JSON.stringify(file));
  });
});

test('tokenizer_config.json with wrong values', async () => {
  await fuzz('tokenizer_config.json', 300, mutatedJson(goodFile('tokenizer_config.json')), (json) =>
    tryTokenizer('tokenizer_config.json', JSON.stringify(json) ?? ''),
  );
});
