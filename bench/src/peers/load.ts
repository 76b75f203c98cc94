/** Packages of bench/peers, which is installed apart from the workspace. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const folder = new URL('../../peers/', import.meta.url);
const require = createRequire(new URL('package.json', folder));

export const INSTALL_COMMAND = 'npm install --prefix bench/peers';

/** The namespace of a peer package, as `T` describes the part of it that is used. */
export async function loadPeer<T>(name: string): Promise<T> {
  let location: string;
  try {
    location = require.resolve(name);
  } catch {
    throw new Error(`${name} is not installed; run ${INSTALL_COMMAND}`);
  }
  const loaded = (await import(pathToFileURL(location).href)) as T & { readonly default?: T };
  // CommonJS packages come as the default export.
  return loaded.default ?? loaded;
}

/** Versions of the peers that are installed. */
export function peerVersions(): Record<string, string> {
  const { dependencies } = JSON.parse(readFileSync(new URL('package.json', folder), 'utf8')) as {
    dependencies: object;
  };
  const versions: Record<string, string> = {};
  for (const name of Object.keys(dependencies)) {
    try {
      const installed = new URL(`node_modules/${name}/package.json`, folder);
      versions[name] = (JSON.parse(readFileSync(installed, 'utf8')) as { version: string }).version;
    } catch {
      versions[name] = 'not installed';
    }
  }
  return versions;
}
