/** Ids, decoded text and rendered chats against transformers. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { Tokenizer } from '../../src/tokenizer/tokenizer.js';
import { ChatTemplate, type Message } from '../../src/tokenizer/chat-template.js';
import { goldenPath, readGoldenJson } from '../support/golden.js';

interface StringEntry {
  readonly text: string;
  readonly ids: number[];
  readonly decoded: string;
  readonly decoded_skip_special: string;
  readonly decoded_half: string;
}

interface ChatEntry {
  readonly name: string;
  readonly messages: Message[];
  readonly add_generation_prompt: boolean;
  readonly add_vision_id: boolean;
  readonly rendered: string;
  readonly ids: number[];
}

// The same tokenizer twice: merges as strings, as checkpoints ship them, and as pairs, as new transformers saves them.
describe.each(['tokenizer/tokenizer.json', 'models/tiny-tied/tokenizer.json'])('%s', (file) => {
  const tokenizer = Tokenizer.fromJson(readGoldenJson(file));
  const { entries } = readGoldenJson<{ entries: StringEntry[] }>('tokenizer/strings.json');

  test.each(entries)('$text', ({ text, ids, ...decoded }) => {
    expect(tokenizer.encode(text, { parseSpecialTokens: true })).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded.decoded);
    expect(tokenizer.decode(ids, { skipSpecialTokens: true })).toBe(decoded.decoded_skip_special);
    expect(tokenizer.decode(ids.slice(0, Math.floor(ids.length / 2)))).toBe(decoded.decoded_half);
  });
});

describe('chats', () => {
  const tokenizer = Tokenizer.fromJson(readGoldenJson('tokenizer/tokenizer.json'));
  const { entries } = readGoldenJson<{ entries: ChatEntry[] }>('tokenizer/chats.json');
  const templates = [
    new ChatTemplate(),
    new ChatTemplate(readFileSync(goldenPath('tokenizer/chat_template.jinja'), 'utf8')),
  ];

  test.each(entries)('$name, prompt $add_generation_prompt, numbered $add_vision_id', (entry) => {
    const options = { addGenerationPrompt: entry.add_generation_prompt, addVisionId: entry.add_vision_id };
    for (const template of templates) expect(template.render(entry.messages, options)).toBe(entry.rendered);
    expect(tokenizer.encode(entry.rendered, { parseSpecialTokens: true })).toEqual(entry.ids);
  });
});
