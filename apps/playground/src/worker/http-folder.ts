/** A folder of files under an address of the page's own origin. */
import { type ByteSource, blobSource } from '@mindseye/tensor-core';
import { ModelFolderError } from '@mindseye/qwen-vl';

export class HttpFolder {
  readonly base: string;
  readonly #files: ReadonlySet<string>;

  /**
   * @param base absolute address with a slash at its end
   * @param files names of the files that are there; no other is asked for
   */
  constructor(base: string, files: readonly string[]) {
    this.base = base;
    this.#files = new Set(files);
  }

  /** The address as messages give it, without a slash at its end. */
  get location(): string {
    return this.base.replace(/\/$/, '');
  }

  has(name: string): boolean {
    return this.#files.has(name);
  }

  /** Content of a JSON file; undefined when the folder has none of that name. */
  async json(name: string): Promise<unknown> {
    const text = await this.text(name);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new ModelFolderError(`${this.base}${name} is not JSON: copy the file again`, { cause });
    }
  }

  /** @throws ModelFolderError when there is no such file */
  async requiredJson(name: string): Promise<unknown> {
    if (!this.has(name)) throw new ModelFolderError(`${this.base} has no ${name}: copy the whole model folder there`);
    return this.json(name);
  }

  async text(name: string): Promise<string | undefined> {
    return (await this.#blob(name))?.text();
  }

  async bytes(name: string): Promise<ByteSource | undefined> {
    const blob = await this.#blob(name);
    return blob && blobSource(blob);
  }

  async #blob(name: string): Promise<Blob | undefined> {
    if (!this.has(name)) return undefined;
    const url = new URL(name, this.base).href;
    const response = await fetch(url).catch((cause: unknown) => {
      throw new ModelFolderError(`${url} cannot be reached: check the connection and reload the page`, { cause });
    });
    if (!response.ok) throw new ModelFolderError(`${url} answers with status ${response.status}: build the page again`);
    return response.blob();
  }
}
