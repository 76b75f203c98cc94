/** A site on this machine with the bundled program: pages that are isolated, not isolated, or forbid workers from blobs. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { build } from 'vite';

const ISOLATED = { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': 'require-corp' };
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'";

/** Headers of each page, and whether its program runs in a worker. */
const PAGES: Readonly<Record<string, { readonly headers: Record<string, string>; readonly script: string }>> = {
  '/isolated': { headers: ISOLATED, script: '/page.js' },
  '/isolated-worker': { headers: ISOLATED, script: '/in-worker.js' },
  '/plain': { headers: {}, script: '/page.js' },
  '/no-blobs': { headers: { ...ISOLATED, 'content-security-policy': POLICY }, script: '/page.js' },
};

/** Starts the program in a worker of the page. */
const IN_WORKER = `
globalThis.report = new Promise((resolve) => {
  const worker = new Worker('/page.js' + location.search, { type: 'module' });
  worker.onmessage = ({ data }) => resolve(data);
  worker.onerror = (event) => resolve({ error: event.message || 'the worker did not start' });
});`;

/** The code of a file and all that it imports, as one module, not minified. */
export async function bundle(file: string): Promise<string> {
  const result = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      target: 'es2024',
      lib: { entry: path.join(import.meta.dirname, file), formats: ['es'] },
      rollupOptions: { output: { codeSplitting: false } },
    },
  });
  const { output } = (Array.isArray(result) ? result[0] : result) as { output: readonly { readonly code: string }[] };
  return output[0]!.code;
}

export interface Site {
  readonly origin: string;
  close(): void;
}

/** @param program the bundled `page.ts`. */
export async function startSite(program: string): Promise<Site> {
  const scripts: Readonly<Record<string, string>> = { '/page.js': program, '/in-worker.js': IN_WORKER };
  const server = createServer(({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const page = PAGES[pathname];
    const script = scripts[pathname];
    // A worker of an isolated page must ask for isolation itself.
    if (script !== undefined) response.writeHead(200, { 'content-type': 'text/javascript', ...ISOLATED }).end(script);
    else if (page)
      response
        .writeHead(200, { 'content-type': 'text/html', ...page.headers })
        .end(`<!doctype html><link rel="icon" href="data:,"><script type="module" src="${page.script}"></script>`);
    else response.writeHead(404).end();
  });
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
