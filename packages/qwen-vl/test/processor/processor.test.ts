import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { resolvePreprocessorConfig } from '../../src/config/preprocessor-config.js';
import { ConversationError, ImageError } from '../../src/errors.js';
import { Processor, visualQuestion } from '../../src/processor/processor.js';
import type { RasterImage } from '../../src/processor/raster.js';
import type { VideoFrames } from '../../src/processor/video.js';
import { ChatTemplate, type ContentPart, type Message } from '../../src/tokenizer/chat-template.js';
import { QWEN2_5_ADDED_TOKENS } from '../../src/tokenizer/special-tokens.js';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { readGoldenJson } from '../support/golden.js';

const tokenizer = Tokenizer.fromJson(readGoldenJson('models/tiny-tied/tokenizer.json'));
const preprocessor = resolvePreprocessorConfig(readGoldenJson('models/tiny-tied/preprocessor_config.json'));
const processor = new Processor(tokenizer, new ChatTemplate(), preprocessor);
/** Every picture becomes one token. */
const tight = new Processor(tokenizer, new ChatTemplate(), preprocessor, { video: { minPixels: 1, maxPixels: 64 } });
const IMAGE = tokenizer.requireId('<|image_pad|>');
const VIDEO = tokenizer.requireId('<|video_pad|>');
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

const count = (kind: ContentPart['type'], messages: readonly Message[]): number =>
  messages
    .flatMap((message) => (typeof message.content === 'string' ? [] : message.content))
    .filter((part) => part.type === kind).length;
const film = (frames: number): VideoFrames => ({ frames: Array<RasterImage>(frames).fill(image(16, 16)) });

describe('against transformers', () => {
  const { entries } = readGoldenJson<{ entries: ChatEntry[] }>('tokenizer/chats.json');
  const unsupported = ['no message', 'image by key', 'markers inside the text'];
  const cases = entries.filter((entry) => !unsupported.includes(entry.name));

  test.each(cases)('$name, prompt $add_generation_prompt, numbered $add_vision_id', (entry) => {
    const images = Array.from({ length: count('image', entry.messages) }, (_value, index) =>
      image(8 * (index + 2), 16),
    );
    const videos = Array.from({ length: count('video', entry.messages) }, (_value, index) => film(index + 3));
    const options = { addGenerationPrompt: entry.add_generation_prompt, addVisionId: entry.add_vision_id };
    const made = processor.process(entry.messages, { images, videos }, options);
    const { inputIds, imageSpans, mmTokenTypeIds, grids, vision } = made;
    // transformers widens each placeholder in the text; here it is widened in the ids.
    let next = 0;
    const expected = entry.ids.flatMap((id) => {
      if (id !== IMAGE && id !== VIDEO) return [id];
      const [time, height, width] = grids[next++]!;
      return Array<number>((time * height * width) / 4).fill(id);
    });
    expect([...inputIds]).toEqual(expected);
    expect([...mmTokenTypeIds]).toEqual(expected.map((id) => (id === IMAGE ? 1 : id === VIDEO ? 2 : 0)));
    expect(next).toBe(images.length + videos.length);
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
  fc.constant({ type: 'video' } as const),
);
const conversation = fc.array(
  fc.record({
    role: fc.constantFrom('system', 'user', 'assistant'),
    content: fc.oneof(wild, fc.array(part, { maxLength: 4 })),
  }) as fc.Arbitrary<Message>,
  { minLength: 1, maxLength: 4 },
);

describe('images and videos in one prompt', () => {
  const messages: readonly Message[] = [
    {
      role: 'user',
      content: [
        { type: 'image' },
        { type: 'video' },
        { type: 'text', text: 'then' },
        { type: 'image' },
        { type: 'video' },
      ],
    },
  ];
  const visuals = { images: [image(16, 24), image(40, 16)], videos: [film(5), { ...film(2), framesPerSecond: 8 }] };
  const made = processor.process(messages, visuals);

  test('everything is in the order of the prompt', () => {
    expect(made.visualSpans.map(({ kind, index }) => [kind, index])).toEqual([
      ['image', 0],
      ['video', 0],
      ['image', 1],
      ['video', 1],
    ]);
    expect(made.secondsPerGrid).toEqual([undefined, 1, undefined, 0.25]);
    expect(made.grids.map(([time]) => time)).toEqual([1, 3, 1, 1]);
    expect(made.imageSpans).toEqual(
      [0, 2].map((at) => ({ start: made.visualSpans[at]!.start, length: made.visualSpans[at]!.length })),
    );
    expect(made.vision!.images.map(({ original }) => original)).toEqual([
      { width: 16, height: 24 },
      { width: 40, height: 16 },
    ]);
    expect(made.vision!.videos.map(({ frames }) => frames)).toEqual([5, 2]);
  });

  test('a budget for all together holds over images and videos', () => {
    const { visualSpans, vision } = processor.process(messages, visuals, { budget: { totalVisualTokens: 14 } });
    const lengths = visualSpans.map(({ length }) => length);
    expect(lengths.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(14);
    expect(vision!.grids.map(([time, height, width]) => (time * height * width) / 4)).toEqual(lengths);
    expect(() => processor.process(messages, visuals, { budget: { totalVisualTokens: 5 } })).toThrow(
      /4 images and videos need at least 6 visual tokens, above totalVisualTokens 5/,
    );
  });

  test('errors name the video', () => {
    expect(() => processor.process(messages, { ...visuals, videos: [film(2), { frames: [] }] })).toThrow(/^video 2: /);
  });
});

describe('text is data', () => {
  test('whatever users type, special tokens are those of the template and the text comes back whole', () => {
    fc.assert(
      fc.property(conversation, (messages) => {
        const [images, videos] = [count('image', messages), count('video', messages)];
        const { inputIds } = tight.process(messages, {
          images: Array<RasterImage>(images).fill(image(8, 8)),
          videos: Array<VideoFrames>(videos).fill(film(1)),
        });
        const starts = messages.length + 1 + (messages[0]!.role === 'system' ? 0 : 1);
        const found = (token: string): number => inputIds.filter((id) => id === tokenizer.tokenToId(token)).length;
        expect(found('<|im_start|>')).toBe(starts);
        expect(found('<|im_end|>')).toBe(starts - 1);
        expect(found('<|vision_start|>')).toBe(images + videos);
        expect(found('<|image_pad|>')).toBe(images);
        expect(found('<|video_pad|>')).toBe(videos);
        expect(found('<|endoftext|>')).toBe(0);
        const pads = (kind: string): string => `<|vision_start|><|${kind}_pad|><|vision_end|>`;
        const content = (message: Message): string =>
          typeof message.content === 'string'
            ? message.content
            : message.content.map((item) => (item.type === 'text' ? item.text : pads(item.type))).join('');
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
    ['a part of unknown type', user([{ type: 'audio' } as unknown as ContentPart]), 0, /a part must be/],
    ['a video part without a video', user([{ type: 'video' }]), 0, /1 video parts but 0 videos/],
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

  test('a video without a template for one, and without a token for one', () => {
    const template = new ChatTemplate('<|vision_start|><|image_pad|><|vision_end|>');
    const imagesOnly = new Processor(tokenizer, template, preprocessor);
    expect(() => imagesOnly.process(user([{ type: 'video' }]), { videos: [film(2)] })).toThrow(
      /made 1 image placeholders for 0 images; use the template/,
    );
  });

  test('an image that is too narrow', () => {
    expect(() => processor.ask('How many?', [image(300, 1)])).toThrow(ImageError);
  });
});
