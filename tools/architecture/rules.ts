/**
 * The arrows of the map, and what a library may not touch.
 *
 *   tensor-core <- wasm-backend, webgpu-backend
 *   tensor-core <- qwen-vl <- latent-reasoning <- eval <- apps
 *
 * An app opens a device and passes it in: no package imports a backend. A new package needs a row here.
 */
export const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'tensor-core': [],
  'wasm-backend': ['tensor-core'],
  'webgpu-backend': ['tensor-core'],
  'qwen-vl': ['tensor-core'],
  'latent-reasoning': ['tensor-core', 'qwen-vl'],
  eval: ['tensor-core', 'qwen-vl', 'latent-reasoning'],
};

/** Expressions no source file of a package may contain, with the reason the test prints. */
export const BANNED: Readonly<Record<string, string>> = {
  'Math.random': 'unseeded; take a named random stream of @mindseye/tensor-core',
  'process.argv': 'only an app reads the command line',
  'process.exit': 'only an app ends the process; throw an error that names the cure',
  'process.stdout': 'only an app prints',
  'process.stderr': 'only an app prints',
  console: 'only an app prints; report through a callback',
};
