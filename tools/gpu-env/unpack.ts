/**
 * Unpacks the brotli archives of @sparticuz/chromium into the user's cache directory, once per version.
 *
 *   <cache>/mindseye/gpu-env/<version>/swiftshader   libvulkan.so.1, libvk_swiftshader.so, its ICD manifest   (7 MB)
 *   <cache>/mindseye/gpu-env/<version>/chromium      the browser, the same libraries, lib/ (NSS), fonts/    (220 MB)
 *
 * A folder is filled under a temporary name and renamed, so a reader sees it whole or not at all, and two processes
 * unpacking at once do not disturb each other: the slower one drops its copy. The package's own JavaScript is not used:
 * it unpacks into the temporary directory and leaves the NSS libraries out anywhere but on AWS Lambda.
 */
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync, createBrotliDecompress } from 'node:zlib';
import { fontsConf } from './fonts-conf.ts';
import { untar } from './untar.ts';

/** The archives hold Linux x64 binaries only; elsewhere real drivers or an installed Chrome are used. */
export const isSupported: boolean = process.platform === 'linux' && process.arch === 'x64';

const packageFolder = (): string =>
  path.resolve(path.dirname(fileURLToPath(import.meta.resolve('@sparticuz/chromium'))), '..');

const cacheFolder = (): string => process.env['XDG_CACHE_HOME'] || path.join(os.homedir(), '.cache');

const unpackTar = async (archive: string, into: string): Promise<void> => {
  for (const { name, bytes } of untar(brotliDecompressSync(await readFile(archive)))) {
    const file = path.join(into, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes, { mode: 0o755 });
  }
};

/** `final` is the path the folder will have after the rename, for files that must name themselves. */
type Fill = (into: string, archives: string, final: string) => Promise<void>;

const FILL = {
  swiftshader: (into, archives) => unpackTar(path.join(archives, 'swiftshader.tar.br'), into),
  chromium: async (into, archives, final) => {
    await unpackTar(path.join(archives, 'swiftshader.tar.br'), into);
    await unpackTar(path.join(archives, 'al2023.tar.br'), into);
    await unpackTar(path.join(archives, 'fonts.tar.br'), into);
    await writeFile(path.join(into, 'fonts.conf'), fontsConf(final));
    await pipeline(
      createReadStream(path.join(archives, 'chromium.br')),
      createBrotliDecompress(),
      createWriteStream(path.join(into, 'chromium'), { mode: 0o755 }),
    );
  },
} satisfies Record<string, Fill>;

/** The folder that holds `part`, unpacked first if need be; `undefined` on a platform the archives do not serve. */
export async function unpacked(part: keyof typeof FILL): Promise<string | undefined> {
  if (!isSupported) return undefined;
  const source = packageFolder();
  const { version } = JSON.parse(await readFile(path.join(source, 'package.json'), 'utf8')) as { version: string };
  const versionFolder = path.join(cacheFolder(), 'mindseye', 'gpu-env', version);
  const final = path.join(versionFolder, part);
  if (existsSync(final)) return final;

  await mkdir(versionFolder, { recursive: true });
  const partial = await mkdtemp(path.join(versionFolder, `.${part}-`));
  try {
    await FILL[part](partial, path.join(source, 'bin'), final);
    await rename(partial, final).catch((error: unknown) => {
      if (!existsSync(final)) throw error; // otherwise another process was first, and its copy is as good
    });
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return final;
}
