/** A place made of files that are known by their paths, such as a browser's file list: folders come out of the slashes. */
import type { ByteSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '../errors.js';
import type { ModelFiles } from './model-files.js';

/** Opens the file at a path. */
export type OpenPath = (path: string) => Promise<ByteSource>;

/**
 * @param location what messages call the place
 * @param paths paths relative to the place, with `/` between folders
 */
export function filesByPath(location: string, paths: Iterable<string>, openPath: OpenPath): ModelFiles {
  const names = new Set<string>();
  const folders = new Map<string, string[]>();
  for (const path of paths) {
    const slash = path.indexOf('/');
    if (slash < 0) names.add(path);
    else {
      const [folder, rest] = [path.slice(0, slash), path.slice(slash + 1)];
      const inside = folders.get(folder);
      if (inside) inside.push(rest);
      else folders.set(folder, [rest]);
    }
  }
  return {
    location,
    names,
    async open(name) {
      if (!names.has(name)) throw new ModelFolderError(`${location}: missing ${name}; copy the whole folder there`);
      return openPath(name);
    },
    async folder(name) {
      const inside = folders.get(name);
      return inside && filesByPath(`${location}/${name}`, inside, (path) => openPath(`${name}/${path}`));
    },
  };
}
