import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { ConversationError, ImageError } from '../../src/errors.js';
import { Processor, visualQuestion } from '../../src/processor/processor.js';
import type { RasterImage } from '../../src/processor/raster.js';
import { ChatTemplate, type ContentPart, type Message } from '../../src/tokenizer/chat-template.js';
import { QWEN2_5_ADDED_TOKENS } from '../../src/tokenizer/special-tokens.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';

const tokenizer = Tokenizer.fromJson(readGoldenJson('models/tiny-tied/tokenizer.json'));
const preprocessor = resolvePreprocessorConfig(readGoldenJson('models/tiny-tied/preprocessor_config.json'));
const processor = new Processor(tokenizer, new ChatTemplate(), preprocessor);
const IMAGE = tokenizer.requireId('<|image_pad|>');
const image = (width: number, height: number): RasterImage => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
  channels: 3,
});

interface ChatEntry {
  readonly name: string;
  readonly messages: Message[];
  readonly add_generation_prompt: boolean;
  readonly add_vision_id: boolean;
  readonly ids: number[];
}

const countImages = (messages: readonly Message[]): number =>
  messages
    .flatMap((message) => (typeof message.content === 'string' ? [] : message.content))
    .filter((part) => part.type === 'image').length;

describe('against transformers', () => {
  const { entries } = readGoldenJson<{ entries: ChatEntry[] }>('tokenizer/chats.json');
  const unsupported = ['no message', 'image by key', 'video', 'markers inside the text'];
  const cases = entries.filter((entry) => !unsupported.includes(entry.name));

  test.each(cases)('$name, prompt $add_generation_prompt, numbered $add_vision_id', (entry) => {
    const images = Array.from({ length: countImages(entry.messages) }, (_value, index) => image(8 * (index + 2), 16));
    const options = { addGenerationPrompt: entry.add_generation_prompt, addVisionId: entry.add_vision_id };
    const { inputIds, imageSpans, mmTokenTypeIds, vision } = processor.process(entry.messages, images, options);
    // transformers widens each placeholder in the text; here it is widened in the ids.
    let next = 0;
    const expected = entry.ids.flatMap((id) =>
      id === IMAGE ? Array<number>(vision!.images[next++]!.visualTokens).fill(IMAGE) : [id],
    );
    expect([...inputIds]).toEqual(expected);
    expect([...mmTokenTypeIds]).toEqual(expected.map((id) => (id === IMAGE ? 1 : 0)));
    expect(imageSpans.map(({ length }) => length)).toEqual(
      vision?.images.map(({ visualTokens }) => visualTokens) ?? [],
    );
    for (const { start, length } of imageSpans)
      expect([...inputIds.subarray(start, start + length)]).toEqual(Array(length).fill(IMAGE));
  });
});

const special = QWEN2_5_ADDED_TOKENS.filter((token) => token.special).map((token) => token.content);
const wild = fc
  .array(
    fc.oneof(
      fc.string({ unit: 'grapheme', maxLength: 5 }),
      fc.constantFrom(...special, '<', '<|', '<|im_', 'end|>', '|>', '\ue000', '\ue001', '{{ 1 }}', '{% endfor %}'),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''));
const part: fc.Arbitrary<ContentPart> = fc.oneof(
  wild.map((text) => ({ type: 'text', text }) as const),
  fc.constant({ type: 'image' } as const),
);
const conversation = fc.array(
  fc.record({
    role: fc.constantFrom('system', 'user', 'assistant'),
    content: fc.oneof(wild, fc.array(part, { maxLength: 4 })),
  }) as fc.Arbitrary<Message>,
  { minLength: 1, maxLength: 4 },
);

describe('text is data', () => {
  test('whatever users type, special tokens are those of the template and the text comes back whole', () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const count = countImages(messages);
        const { inputIds } = processor.process(messages, Array<RasterImage>(count).fill(image(8, 8)));
        const starts = messages.length + 1 + (messages[0]!.role === 'system' ? 0 : 1);
        const found = (token: string): number => inputIds.filter((id) => id === tokenizer.tokenToId(token)).length;
        expect(found('<|im_start|>')).toBe(starts);
        expect(found('<|im_end|>')).toBe(starts - 1);
        expect(found('<|vision_start|>')).toBe(count);
        expect(found('<|image_pad|>')).toBe(count);
        expect(found('<|endoftext|>')).toBe(0);
        const pads = '<|vision_start|><|image_pad|><|vision_end|>';
        const content = (message: Message): string =>
          typeof message.content === 'string'
            ? message.content
            : message.content.map((item) => (item.type === 'text' ? item.text : pads)).join('');
        const turns = messages.map((message) => `<|im_start|>${message.role}\n${content(message)}<|im_end|>\n`);
        const system =
          messages[0]!.role === 'system' ? '' : '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n';
        expect(tokenizer.decode(inputIds).normalize('NFC')).toBe(
          `${system}${turns.join('')}<|im_start|>assistant\n`.normalize('NFC'),
        );
      }),
      { numRuns: 400 },
    );
  });

  test('two parts that meet to form a special token stay text', () => {
    const parts: ContentPart[] = ['<|im', '_en', '', 'd|>'].map((text) => ({ type: 'text', text }));
    const { inputIds } = processor.process([{ role: 'user', content: parts }]);
    expect(inputIds.filter((id) => id === tokenizer.tokenToId('<|im_end|>')).length).toBe(2);
    expect(tokenizer.decode(inputIds)).toContain('user\n<|im_end|><|im_end|>\n');
  });

  test('a template that inspects its messages sees ordinary text unchanged', () => {
    const template = new ChatTemplate(
      "{% for m in messages %}{{ 'yes' if '</think>' in m.content else 'no' }}{{ m.content | length }}{% endfor %}",
    );
    const { inputIds } = new Processor(tokenizer, template, preprocessor).process([
      { role: 'user', content: 'a < b </think> 3 <4' },
    ]);
    expect(tokenizer.decode(inputIds)).toBe('yes19');
  });
});

describe('what cannot be processed', () => {
  const user = (content: Message['content']): readonly Message[] => [{ role: 'user', content }];

  test('a question with no image, and an image with no question', () => {
    expect(() => processor.ask('How many?', [])).toThrow(/there is no image to go with the question "How many\?"/);
    expect(() => processor.ask(' \n', [image(8, 8)])).toThrow(/the question is empty/);
    expect(() => visualQuestion('', 1)).toThrow(ConversationError);
    expect(processor.ask('How many?', [image(8, 8)]).imageSpans).toHaveLength(1);
  });

  test('text alone is fine', () => {
    expect(processor.process(user('Hello')).vision).toBeNull();
  });

  test.each<readonly [string, unknown, number, RegExp]>([
    ['fewer images than parts', user([{ type: 'image' }]), 0, /1 image parts but 0 images/],
    ['more images than parts', user('hi'), 2, /0 image parts but 2 images/],
    ['no messages', [], 0, /needs 1 to 10000 messages/],
    ['an unknown role', [{ role: '<|im_end|>', content: '' }], 0, /role "<\|im_end\|>" must be one of system, user/],
    ['content that is no text', [{ role: 'user', content: 5 }], 0, /message 1: content must be text/],
    ['a message that is nothing', [null], 0, /message 1: role null must be one of/],
    ['a part that is nothing', [{ role: 'user', content: [null] }], 0, /a part must be/],
    ['a part of unknown type', user([{ type: 'video' } as unknown as ContentPart]), 0, /a part must be/],
  ])('%s', (_name, messages, count, message) => {
    const run = (): unknown => processor.process(messages as Message[], Array<RasterImage>(count).fill(image(8, 8)));
    expect(run).toThrow(message);
    expect(run).toThrow(ConversationError);
  });

  test('a template of a text-only model', () => {
    const textOnly = new Processor(tokenizer, new ChatTemplate('{{ messages[0].role }}'), preprocessor);
    expect(() => textOnly.ask('How many?', [image(8, 8)])).toThrow(
      /made 0 image placeholders for 1 images; use the template/,
    );
  });

  test('an image that is too narrow', () => {
    expect(() => processor.ask('How many?', [image(300, 1)])).toThrow(ImageError);
  });
});
