import { defineConfig } from 'vite';

// Cross-origin isolation gives the page SharedArrayBuffer, which worker threads need.
const headers = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  base: './',
  server: { headers },
  preview: { headers },
  worker: { format: 'es' },
  build: { target: 'es2023' },
});
