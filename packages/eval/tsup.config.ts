import { defineConfig } from 'tsup';

export default defineConfig({
  entry: ['src/index.ts', 'src/node.ts'],
  format: ['esm'],
  platform: 'neutral',
  target: 'es2023', // lowers `using`
  dts: false, // declarations come from tsc
  sourcemap: true,
  clean: true,
  silent: true,
});
