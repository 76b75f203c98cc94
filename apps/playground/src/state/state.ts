/** All that the page shows. Actions replace it; components only read it. */
import type {
  AnswerSummary,
  Condition,
  DeviceName,
  LoadProgress,
  ModelSource,
  ModelSummary,
  PictureSource,
  PictureSummary,
  WeightStorage,
} from '../worker/protocol.js';
import type { Catalog } from './catalog.js';

export type ModelState =
  | { readonly status: 'starting' }
  /** There are no files of a model beside the page. */
  | { readonly status: 'missing' }
  | { readonly status: 'loading'; readonly source: ModelSource; readonly progress: LoadProgress | null }
  | { readonly status: 'ready'; readonly source: ModelSource; readonly summary: ModelSummary }
  | { readonly status: 'failed'; readonly source: ModelSource }
  /** By the person. */
  | { readonly status: 'stopped'; readonly source: ModelSource };

/** A model of the hub that was asked for, and how much there is to fetch; null while that is being found out. */
export interface HubOffer {
  readonly name: string;
  readonly bytes: number | null;
}

export interface OpenPicture extends PictureSummary {
  readonly source: PictureSource;
}

export interface State {
  readonly catalog: Catalog;
  readonly model: ModelState;
  readonly device: DeviceName;
  readonly storage: WeightStorage;
  /** Nothing of it is fetched before the person says so. */
  readonly hubOffer: HubOffer | null;
  /** Whether the browser gives a WebGPU adapter; null while that is being found out. */
  readonly hasWebGpu: boolean | null;
  readonly picture: OpenPicture | null;
  /** The scene that "New scene" goes on from. */
  readonly sceneIndex: number;
  readonly question: string;
  readonly condition: Condition;
  /** The answers to this question about this picture, by condition. */
  readonly answers: Partial<Readonly<Record<Condition, AnswerSummary>>>;
  /** The answer that is being made. */
  readonly running: { readonly condition: Condition; readonly text: string } | null;
  /** What went wrong last, in one line. */
  readonly error: string | null;
}

export const initialState: State = {
  catalog: { model: null, pictures: [] },
  model: { status: 'starting' },
  device: 'wasm',
  storage: 'stored',
  hubOffer: null,
  hasWebGpu: null,
  picture: null,
  sceneIndex: 0,
  question: '',
  condition: 'standard',
  answers: {},
  running: null,
  error: null,
};

/** Whether a question can be asked now. */
export const canAsk = ({ model, picture, question, running }: State): boolean =>
  model.status === 'ready' && picture !== null && question.trim() !== '' && running === null;

/** The known answer, as long as the question is the picture's own. */
export const goldOf = ({ picture, question }: State): string | undefined =>
  picture?.question === question ? picture.answer : undefined;
