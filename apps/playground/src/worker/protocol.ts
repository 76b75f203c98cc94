/**
 * What the page asks of its worker, and what comes back.
 *
 * A call has a number; the worker answers it with any number of events and then one result or one error, a line of text.
 * Calls are carried out one after another. The worker keeps the model and the picture that were opened last.
 */
import type { AnswerCondition, AttentionMap } from '@mindseye/latent-reasoning';

export type DeviceName = 'wasm' | 'webgpu';

/** Ways to answer that the page offers, of those of `LatentModel`. */
export type Condition = Extract<AnswerCondition, 'standard' | 'no-latents' | 'bottleneck'>;

/** Where a model comes from: files under an address, a folder on this machine, or random weights drawn here. */
export type ModelSource =
  | {
      readonly kind: 'files';
      /** Absolute address of the folder, with a slash at its end. */
      readonly base: string;
      /** Names of the files that are there, relative to `base`. */
      readonly files: readonly string[];
    }
  | {
      readonly kind: 'folder';
      readonly name: string;
      /** What a picker gives, or an input that chooses folders. */
      readonly folder: FileSystemDirectoryHandle | readonly File[];
    }
  | { readonly kind: 'random'; readonly seed: number };

/** Where a picture comes from. */
export type PictureSource =
  | { readonly kind: 'scene'; readonly index: number }
  | {
      readonly kind: 'example';
      readonly address: string;
      readonly name: string;
      readonly question: string;
      readonly answer: string;
    }
  | { readonly kind: 'file'; readonly file: File };

export interface ModelSummary {
  /** What the device calls itself, such as `wasm relaxed-simd`. */
  readonly device: string;
  readonly parameters: number;
  readonly adapterParameters: number;
  readonly latents: number;
  readonly milliseconds: number;
}

export interface PictureSummary {
  /** Name of the file, or of the sample. */
  readonly name: string;
  /** Of the picture itself; `preview` may be smaller. */
  readonly width: number;
  readonly height: number;
  readonly preview: ImageBitmap;
  /** The question that goes with the picture, and its answer, where they are known. */
  readonly question?: string;
  readonly answer?: string;
}

export interface AnswerSummary {
  readonly text: string;
  readonly tokens: number;
  readonly milliseconds: number;
  /** Where the latents looked; null where there is none to be shown. */
  readonly map: AttentionMap | null;
}

export interface LoadProgress {
  readonly done: number;
  readonly total: number;
}

export interface Calls {
  openModel: {
    request: { readonly source: ModelSource; readonly device: DeviceName };
    event: LoadProgress;
    result: ModelSummary;
  };
  openPicture: { request: PictureSource; event: never; result: PictureSummary };
  /** About the open picture, to the open model. Events are pieces of the answer. */
  ask: {
    request: { readonly question: string; readonly condition: Condition };
    event: string;
    result: AnswerSummary;
  };
}

export type CallName = keyof Calls;

export type CallMessage<K extends CallName = CallName> = {
  [P in K]: { readonly id: number; readonly call: P; readonly request: Calls[P]['request'] };
}[K];

export type ReplyMessage = { readonly id: number } & (
  | { readonly event: Calls[CallName]['event'] }
  | { readonly result: Calls[CallName]['result'] }
  | { readonly error: string }
);

/** One function per call; `emit` sends an event. */
export type Handlers = {
  readonly [K in CallName]: (
    request: Calls[K]['request'],
    emit: (event: Calls[K]['event']) => void,
  ) => Promise<Calls[K]['result']>;
};
