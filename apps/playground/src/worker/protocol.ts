/**
 * What the page asks of its worker, and what comes back.
 *
 * A call has a number; the worker answers it with any number of events and then one result or one error, a line of text.
 * Calls are carried out one after another. The worker keeps the model and the picture that were opened last.
 */
import type { AnswerCondition, AttentionMap } from '@mindseye/latent-reasoning';
import type { PathedFile } from '@mindseye/qwen-vl';

export type DeviceName = 'wasm' | 'webgpu';

/** What matrices are kept in: what the files have, or the language model in codes of 8 or 4 bits. */
export type WeightStorage = 'stored' | 'int8' | 'int4';

/** Where a model runs and what it is kept in; another choice opens it again. */
export interface ModelChoices {
  readonly device: DeviceName;
  readonly storage: WeightStorage;
}

/** Ways to answer that the page offers, of those of `LatentModel`. */
export type Condition = Extract<AnswerCondition, 'standard' | 'no-latents' | 'bottleneck'>;

/** Where a model comes from: files under an address, a folder on this machine, a hub, or random weights drawn here. */
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
      /** What a picker gives, or the files of an input that chooses folders, or of a drop. */
      readonly folder: FileSystemDirectoryHandle | readonly PathedFile[];
    }
  /** `organisation/name` of Hugging Face, with `@revision` or without. */
  | { readonly kind: 'hub'; readonly name: string }
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
  /** What the device is called, such as `wasm relaxed, 8 threads`. */
  readonly device: string;
  readonly parameters: number;
  readonly adapterParameters: number;
  /** Of the weights as they lie on the device, adapter apart. */
  readonly weightBytes: number;
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
  /** Where the latents looked; null without latents, and where it would take too much memory. */
  readonly map: AttentionMap | null;
}

/** In bytes. */
export interface LoadProgress {
  /** Fetching into the page's storage, or reading weights onto the device. */
  readonly step: 'fetching' | 'reading';
  readonly done: number;
  readonly total: number;
}

export interface Calls {
  /** How many bytes opening a model of the hub would fetch; refused where it could not run in the end. */
  lookUp: { request: ModelChoices & { readonly name: string }; event: never; result: { readonly bytes: number } };
  openModel: {
    request: ModelChoices & { readonly source: ModelSource };
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
