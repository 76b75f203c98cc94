/**
 * A hub on this machine in the place of Hugging Face: what the page asks there is asked of it, and no other host is reached.
 *
 * The headers that let a page of another origin read an answer are those of the hub itself.
 */
import { FakeHub } from '../../../../packages/qwen-vl/test/files/fake-hub.js';
import type { Page } from './opened-page.js';

export { FakeHub };

const CROSS_ORIGIN = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'Accept-Ranges,Content-Range,ETag,Link,X-Linked-Size,X-Linked-ETag',
};

/** @param change of the JSON that the hub answers, such as the sizes in a list of files */
export async function serveHub(
  page: Page,
  hub: FakeHub,
  change: (path: string, answer: unknown) => unknown = (_path, answer) => answer,
): Promise<void> {
  await page.route('https://huggingface.co/**', async (route) => {
    const { pathname, search } = new URL(route.request().url());
    const response = await route.fetch({ url: `${hub.endpoint}${pathname}${search}` });
    const headers = { ...response.headers(), ...CROSS_ORIGIN };
    if (!pathname.startsWith('/api/')) return route.fulfill({ response, headers });
    return route.fulfill({ response, headers, json: change(pathname, await response.json()) });
  });
}
