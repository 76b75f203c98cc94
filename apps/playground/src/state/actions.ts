/**
 * What a person can do on the page.
 *
 * A model and its device live in one worker. Choosing another, or stopping, ends that worker and starts a new one, so that
 * nothing of the old model stays behind and nothing that runs too long can hold the page up.
 */
import { StoppedError, type WorkerClient } from '../worker/client.js';
import { errorLine } from '../worker/error-line.js';
import type { Condition, DeviceName, ModelSource, PictureSource, WeightStorage } from '../worker/protocol.js';
import { readCatalog } from './catalog.js';
import { SCENE_COUNT, sceneNumber } from './scenes.js';
import { canAsk } from './state.js';
import type { Store } from './store.js';

/** The part of the worker's client that actions use. */
export type ModelWorker = Pick<WorkerClient, 'call' | 'stop'>;

export class Actions {
  readonly #store: Store;
  readonly #connect: () => ModelWorker;
  #client: ModelWorker;
  /** The picture that was asked for last; it follows the model into each new worker. */
  #picture: PictureSource | undefined;

  constructor(store: Store, connect: () => ModelWorker) {
    this.#store = store;
    this.#connect = connect;
    this.#client = connect();
  }

  /** Finds out what there is, and opens the first scene and the model. */
  async start(page: string): Promise<void> {
    void this.#attempt(async () => this.#store.update({ hasWebGpu: await hasWebGpuAdapter() }));
    void this.openScene(0);
    await this.#attempt(async () => {
      const catalog = await readCatalog(page);
      this.#store.update({ catalog });
      if (catalog.model) await this.openModel(catalog.model);
      else this.#store.update({ model: { status: 'missing' } });
    });
  }

  async chooseDevice(device: DeviceName): Promise<void> {
    this.#store.update({ device });
    await this.#applyChoices();
  }

  async chooseStorage(storage: WeightStorage): Promise<void> {
    this.#store.update({ storage });
    await this.#applyChoices();
  }

  /** Finds out what a model of the hub would take; opens it at once if the page's storage has all of it. */
  async lookUp(name: string): Promise<void> {
    this.#store.update({ hubOffer: { name, bytes: null }, error: null });
    const { device, storage } = this.#store.state;
    const isAsked = (): boolean => this.#store.state.hubOffer?.name === name;
    const look = async (): Promise<void> => {
      const { bytes } = await this.#client.call('lookUp', { name, device, storage });
      if (!isAsked()) return;
      if (bytes > 0) this.#store.update({ hubOffer: { name, bytes } });
      else await this.openModel({ kind: 'hub', name });
    };
    await this.#attempt(look, () => this.declineOffer());
  }

  declineOffer(): void {
    this.#store.update({ hubOffer: null });
  }

  /** Opens a model on the chosen device, in a worker of its own. */
  async openModel(source: ModelSource): Promise<void> {
    if ('source' in this.#store.state.model) this.#restart();
    this.#store.update({
      model: { status: 'loading', source, progress: null },
      hubOffer: null,
      answers: {},
      error: null,
    });
    const { device, storage } = this.#store.state;
    const open = async (): Promise<void> => {
      const summary = await this.#client.call('openModel', { source, device, storage }, (progress) =>
        this.#store.update({ model: { status: 'loading', source, progress } }),
      );
      this.#store.update({ model: { status: 'ready', source, summary } });
    };
    await this.#attempt(open, () => this.#store.update({ model: { status: 'failed', source } }));
  }

  /** Gives up opening a model. What has been fetched of it stays in the page's storage. */
  stopOpening(): void {
    const { model } = this.#store.state;
    if (model.status !== 'loading') return;
    this.#restart();
    this.#store.update({ model: { status: 'stopped', source: model.source } });
  }

  /** Lets a person choose a model's folder and opens it; choosing none changes nothing. */
  async chooseModel(choose: () => Promise<ModelSource | null>): Promise<void> {
    await this.#attempt(async () => {
      const source = await choose();
      if (source) await this.openModel(source);
    });
  }

  async openScene(index: number): Promise<void> {
    await this.openPicture({ kind: 'scene', index: sceneNumber(index) });
  }

  async nextScene(): Promise<void> {
    await this.openScene((this.#store.state.sceneIndex + 1) % SCENE_COUNT);
  }

  /** Opens a picture; its own question, if it has one, takes the place of the present one. */
  async openPicture(source: PictureSource): Promise<void> {
    this.#picture = source;
    const open = async (): Promise<void> => {
      const picture = await this.#client.call('openPicture', source);
      const { question, picture: before } = this.#store.state;
      const isSame = before?.source === source;
      this.#store.update({
        picture: { ...picture, source },
        error: null,
        ...(!isSame && { answers: {}, question: picture.question ?? question }),
        ...(source.kind === 'scene' && { sceneIndex: source.index }),
      });
    };
    // The worker still has the picture before.
    await this.#attempt(open, () => (this.#picture = this.#store.state.picture?.source));
  }

  setQuestion(question: string): void {
    this.#store.update({ question, answers: {} });
  }

  /** Switches the condition, and asks again if the question has been asked before. */
  async chooseCondition(condition: Condition): Promise<void> {
    const hasAsked = Object.keys(this.#store.state.answers).length > 0;
    this.#store.update({ condition });
    if (hasAsked) await this.ask();
  }

  async ask(): Promise<void> {
    if (!canAsk(this.#store.state)) return;
    const { question, condition } = this.#store.state;
    this.#store.update({ running: { condition, text: '' }, error: null });
    await this.#attempt(async () => {
      const answer = await this.#client.call('ask', { question, condition }, (piece) =>
        this.#store.update({ running: { condition, text: (this.#store.state.running?.text ?? '') + piece } }),
      );
      const { answers, question: now } = this.#store.state;
      if (now === question) this.#store.update({ answers: { ...answers, [condition]: answer } });
    });
    this.#store.update({ running: null });
  }

  /** Ends what is running, and opens the model afresh. */
  async stop(): Promise<void> {
    await this.#reopen();
  }

  dismissError(): void {
    this.#store.update({ error: null });
  }

  /** What is open is opened again, and what is offered may fit now, or no longer. */
  async #applyChoices(): Promise<void> {
    const { hubOffer } = this.#store.state;
    const reopened = this.#reopen();
    if (hubOffer) void this.lookUp(hubOffer.name);
    await reopened;
  }

  /** The model that was opened last, with the choices of now. */
  async #reopen(): Promise<void> {
    const { model } = this.#store.state;
    if ('source' in model) await this.openModel(model.source);
  }

  #restart(): void {
    this.#client.stop();
    this.#client = this.#connect();
    this.#store.update({ running: null });
    if (this.#picture) void this.openPicture(this.#picture);
  }

  /** Does something; a failure becomes the page's error line, being stopped becomes nothing. */
  async #attempt(work: () => Promise<void>, onFailure: () => void = () => undefined): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (error instanceof StoppedError) return;
      onFailure();
      this.#store.update({ error: errorLine(error) });
    }
  }
}

async function hasWebGpuAdapter(): Promise<boolean> {
  const { gpu } = navigator as { readonly gpu?: GPU };
  return gpu !== undefined && (await gpu.requestAdapter().catch(() => null)) !== null;
}
