/**
 * A hub on this machine with the few pages that are used, and with every way of failing that can be asked of it.
 *
 * Files of at least `LFS_BYTES` lie in a storage of its own origin, behind a redirect, as large files of the hub do.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const LFS_BYTES = 100;

export const COMMIT: string = 'c0ffee'.padEnd(40, '0');

export const gitDigest = (bytes: Uint8Array): string =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** The name that a content has in a cache. */
export const blobName = (bytes: Uint8Array): string => (bytes.length >= LFS_BYTES ? sha256(bytes) : gitDigest(bytes));

/** What goes wrong with the next request for the bytes of a file. */
export interface Fault {
  /** Of these files only. */
  readonly file?: string;
  /** Answer with this and nothing else. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Break the connection after so many bytes of the body. */
  readonly cut?: number;
  /** Send so many bytes and end in good order, with a length that says the same. */
  readonly short?: number;
  /** Answer 200 with the whole file, whatever range was asked for. */
  readonly ignoreRange?: true;
  /** Send these bytes in place of the file's. */
  readonly body?: Uint8Array;
  /** Change the first byte that is sent. */
  readonly damage?: true;
  /** Send so many bytes of the body and then nothing, with the connection open. */
  readonly hang?: number;
}

export interface Repository {
  revisions: Record<string, string>;
  files: Record<string, Uint8Array>;
  /** Asked for by every request. */
  token?: string;
  /** Status for everyone. */
  status?: number;
}

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export class FakeHub {
  readonly repositories: Map<string, Repository> = new Map();
  readonly faults: Fault[] = [];
  /** Requests since the last look, and those to the storage. */
  readonly requests: SeenRequest[] = [];
  readonly storageRequests: SeenRequest[] = [];
  readonly #hub: Server;
  readonly #storage: Server;
  #origins: { readonly hub: string; readonly storage: string } = { hub: '', storage: '' };
  /** Pages of the file list. */
  pageSize: number = 1000;

  private constructor() {
    this.#hub = createServer((request, response) => this.#answer(request, response));
    this.#storage = createServer((request, response) => {
      this.storageRequests.push(seen(request));
      const [, name, commit, file] = /^\/(.+)\/([0-9a-f]{40})\/([^/]+)$/.exec(decodeURI(request.url!))!;
      void commit;
      this.#sendFile(request, response, file!, this.repositories.get(name!)!.files[file!]!);
    });
  }

  static async start(): Promise<FakeHub> {
    const fake = new FakeHub();
    const listen = async (server: Server): Promise<string> => {
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    };
    fake.#origins = { hub: await listen(fake.#hub), storage: await listen(fake.#storage) };
    return fake;
  }

  get endpoint(): string {
    return this.#origins.hub;
  }

  async close(): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  add(name: string, files: Record<string, Uint8Array | string>, more: Partial<Repository> = {}): void {
    const bytes = Object.entries(files).map(([file, content]) => [
      file,
      typeof content === 'string' ? new TextEncoder().encode(content) : content,
    ]);
    this.repositories.set(name, { revisions: { main: COMMIT }, files: Object.fromEntries(bytes), ...more });
  }

  /** Bytes of files sent for, as `file range`. */
  takeFileRequests(): string[] {
    const files = this.requests.splice(0).filter(({ path }) => path.includes('/resolve/'));
    return files.map(({ path, range }) => `${path.split('/').at(-1)}${range === undefined ? '' : ` ${range}`}`);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    this.requests.push(seen(request));
    const url = new URL(request.url!, 'http://hub');
    const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree)\/([^/]+)$/.exec(url.pathname);
    const resolve = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const name = api?.[1] ?? resolve?.[1];
    const repository = name === undefined ? undefined : this.repositories.get(name);
    const fail = (status: number, error: string): void => {
      response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error }));
    };
    if (!repository) return fail(404, 'Repository not found');
    if (repository.status !== undefined) return fail(repository.status, 'as asked');
    if (repository.token !== undefined && request.headers.authorization !== `Bearer ${repository.token}`)
      return fail(401, 'Invalid credentials in Authorization header');
    const json = (content: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(200, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(content));
    };
    if (api?.[2] === 'revision') {
      const revision = decodeURIComponent(api[3]!);
      const sha = revision in repository.revisions ? repository.revisions[revision] : undefined;
      if (sha === undefined) return fail(404, 'Revision not found');
      return json({
        _id: '1',
        id: name,
        sha,
        private: false,
        gated: false,
        likes: 0,
        downloads: 0,
        lastModified: '2026-01-01',
      });
    }
    if (api) return this.#list(name!, api[3]!, repository, Number(url.searchParams.get('page') ?? 0), json);
    const file = decodeURIComponent(resolve![3]!);
    const bytes = repository.files[file];
    if (!bytes) return fail(404, 'Entry not found');
    if (bytes.length < LFS_BYTES) return this.#sendFile(request, response, file, bytes);
    response
      .writeHead(302, {
        Location: `${this.#origins.storage}/${name}/${COMMIT}/${encodeURIComponent(file)}`,
        'X-Linked-Size': String(bytes.length),
        'X-Linked-Etag': `"${sha256(bytes)}"`,
      })
      .end();
  }

  #list(
    name: string,
    commit: string,
    { files }: Repository,
    page: number,
    json: (content: unknown, headers?: Record<string, string>) => void,
  ): void {
    const entries = Object.entries(files).map(([path, bytes]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: gitDigest(bytes),
      ...(bytes.length >= LFS_BYTES && { lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 134 } }),
    }));
    const start = page * this.pageSize;
    const next = `<${this.#origins.hub}/api/models/${name}/tree/${commit}?page=${page + 1}>; rel="next"`;
    const all = [{ type: 'directory', path: 'figures', size: 0, oid: '0'.repeat(40) }, ...entries];
    json(all.slice(start, start + this.pageSize), start + this.pageSize < all.length ? { Link: next } : {});
  }

  #sendFile(request: IncomingMessage, response: ServerResponse, file: string, content: Uint8Array): void {
    const at = this.faults.findIndex((candidate) => candidate.file === undefined || candidate.file === file);
    const fault = at < 0 ? {} : this.faults.splice(at, 1)[0]!;
    if (fault.status !== undefined) return void response.writeHead(fault.status, fault.headers).end();
    const bytes = fault.body ?? content;
    const asked = fault.ignoreRange ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = asked ? Number(asked[1]) : 0;
    const end = asked?.[2] ? Math.min(bytes.length, Number(asked[2]) + 1) : bytes.length;
    if (asked && start >= bytes.length)
      return void response.writeHead(416, { 'Content-Range': `bytes */${bytes.length}` }).end();
    const body = Buffer.from(bytes.subarray(start, end));
    if (fault.damage) body[0]! ^= 0xff;
    const sent = fault.short === undefined ? body : body.subarray(0, fault.short);
    response.writeHead(asked ? 206 : 200, {
      ETag: `"${blobName(content)}"`,
      'Content-Length': String(sent.length),
      ...(asked && { 'Content-Range': `bytes ${start}-${end - 1}/${bytes.length}` }),
    });
    if (fault.cut === undefined && fault.hang === undefined) return void response.end(sent);
    response.flushHeaders();
    if (fault.hang !== undefined) return void (fault.hang > 0 && response.write(sent.subarray(0, fault.hang)));
    response.write(sent.subarray(0, fault.cut), () => setTimeout(() => response.socket?.destroy(), 5));
  }
}

const seen = ({ method, url, headers }: IncomingMessage): SeenRequest => ({
  method: method!,
  path: url!,
  range: headers.range,
  authorization: headers.authorization,
});
