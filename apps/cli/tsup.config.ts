import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/main.ts'],
  format: ['esm'],
  platform: 'node',
  target: 'es2023', // lowers `using`
  dts: false,
  banner: { js: '#!/usr/bin/env node' },
  sourcemap: true,
  clean: true,
  silent: true,
});
