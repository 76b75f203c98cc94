/** docs/guide/qwen-vl.md: its programs run on the example model, and count right. */
import { describeGuide } from '@mindseye/guide';
import { describe, expect, it } from 'vitest';

describe('the guide', () => {
  const { markdown, outputUnder } = describeGuide('qwen-vl.md', {
    packages: ['tensor-core', 'wasm-backend', 'qwen-vl', 'latent-reasoning'],
    files: {
      model: 'examples/tiny-livr/model',
      adapter: 'examples/tiny-livr/adapter',
      'counting.png': 'examples/counting.png',
    },
  });

  it('names only what there is in the programs that need a hub or a browser', async () => {
    const there: Readonly<Record<string, object>> = {
      '@mindseye/qwen-vl': await import('@mindseye/qwen-vl'),
      '@mindseye/qwen-vl/node': await import('@mindseye/qwen-vl/node'),
    };
    const blocks = [...markdown.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code!).join('');
    const imports = [...blocks.matchAll(/import \{ (.*?) \} from '(.*?)'/g)];
    const names = imports.flatMap(([, list, from]) => (list ?? '').split(', ').map((name) => ({ name, from: from! })));
    const known = names.filter(({ from }) => from in there);
    expect(known.length).toBeGreaterThan(4);
    for (const { name, from } of known) expect(there[from]).toHaveProperty(name);
  });

  it('counts right: six red circles, with latents and without an adapter', async () => {
    expect(await outputUnder('Ask')).toMatch(/\n6\n$/);
    expect(await outputUnder('Batch')).toMatch(/^Count the circles\. 7 true\n.* 1 true\n.* 0 true\n$/);
    expect(await outputUnder('Adapters')).toMatch(/answer 6\n/);
  });

  it('keeps what it has read', async () => {
    expect(await outputUnder('Keep a conversation')).toMatch(/, 0 of them held\n\d+ tokens, [1-9]\d* of them held/);
  });
});
