import { defineConfig } from 'vite';
import { exampleFiles } from './vite/example-files.js';

// Cross-origin isolation gives the page SharedArrayBuffer, which worker threads need.
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  base: './',
  // One page and no routes: a path that is not there is a 404, not the page again.
  appType: 'mpa',
  plugins: [exampleFiles()],
  server: { headers },
  preview: { headers },
  worker: { format: 'es' },
  build: { target: 'es2023' },
});
