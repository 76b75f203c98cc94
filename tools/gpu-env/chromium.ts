/** A headless Chromium whose WebGPU runs on SwiftShader, for tests of pages and of the browser's WebGPU. */
import path from 'node:path';
import { type Browser, chromium } from 'playwright-core';
import { unpacked } from './unpack.ts';

// --no-sandbox: containers usually run as root, where the sandbox refuses to start. Without --enable-unsafe-webgpu
// navigator.gpu exists but never gives a software adapter.
const ARGS = ['--no-sandbox', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'];

/**
 * Launches the Chromium of @sparticuz/chromium, unpacking it on first use (220 MB in the user's cache directory); elsewhere
 * than Linux on x64, the installed Chrome. The caller closes it.
 */
export async function launchChromium(): Promise<Browser> {
  const folder = await unpacked('chromium');
  if (folder === undefined) return chromium.launch({ channel: 'chrome', args: ARGS });
  // The caller's VK_DRIVER_FILES is for Dawn in this process; the browser brings its own driver.
  const { VK_DRIVER_FILES: _, ...env } = process.env;
  return chromium.launch({
    executablePath: path.join(folder, 'chromium'),
    args: ARGS,
    env: { ...env, LD_LIBRARY_PATH: path.join(folder, 'lib'), FONTCONFIG_PATH: folder },
  });
}
