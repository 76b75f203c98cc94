import { beforeEach, describe, expect, test } from 'vitest';
import { Actions } from '../src/state/actions.js';
import { canAsk, goldOf } from '../src/state/state.js';
import { Store } from '../src/state/store.js';
import type { AnswerSummary, ModelSource, ModelSummary, PictureSummary } from '../src/worker/protocol.js';
import { ScriptedWorker, settled } from './support/scripted-worker.js';

const RANDOM: ModelSource = { kind: 'random', seed: 0 };
const MODEL: ModelSummary = {
  device: 'test',
  parameters: 1,
  adapterParameters: 0,
  weightBytes: 4,
  latents: 2,
  milliseconds: 1,
};
const SCENE: PictureSummary = {
  name: 'scene',
  width: 1,
  height: 1,
  preview: {} as ImageBitmap,
  question: 'How many?',
  answer: '3',
};
const answered = (text: string): AnswerSummary => ({ text, tokens: 1, milliseconds: 1, map: null });

let store: Store;
let actions: Actions;
let workers: ScriptedWorker[];

beforeEach(() => {
  store = new Store();
  workers = [];
  actions = new Actions(store, () => {
    const worker = new ScriptedWorker();
    workers.push(worker);
    return worker;
  });
});

/** A model and the scene's question on the first worker. */
async function ready(): Promise<ScriptedWorker> {
  const [worker] = workers;
  void actions.openScene(0);
  void actions.openModel(RANDOM);
  await worker!.resolve('openPicture', SCENE);
  await worker!.resolve('openModel', MODEL);
  return worker!;
}

test('a question can be asked once there are a model, a picture and a question', async () => {
  expect(canAsk(store.state)).toBe(false);
  await ready();
  expect(store.state).toMatchObject({ model: { status: 'ready', summary: MODEL }, question: 'How many?' });
  expect(canAsk(store.state)).toBe(true);
  actions.setQuestion('  ');
  expect(canAsk(store.state)).toBe(false);
});

test('an answer grows, then stands; the gold answer is that of the picture’s own question', async () => {
  const worker = await ready();
  void actions.ask();
  expect(worker.requestOf('ask')).toEqual({ question: 'How many?', condition: 'standard' });
  await worker.emit('ask', '1');
  await worker.emit('ask', '0');
  expect(store.state.running).toEqual({ condition: 'standard', text: '10' });
  await worker.resolve('ask', answered('10'));
  expect(store.state).toMatchObject({ running: null, answers: { standard: { text: '10' } } });
  expect(goldOf(store.state)).toBe('3');
  actions.setQuestion('Why?');
  expect(goldOf(store.state)).toBeUndefined();
  expect(store.state.answers).toEqual({});
});

test('another condition asks again only after the first question, and earlier answers stay', async () => {
  const worker = await ready();
  await actions.chooseCondition('bottleneck');
  expect(worker.waiting).toEqual([]);
  void actions.ask();
  await worker.resolve('ask', answered('4'));
  void actions.chooseCondition('no-latents');
  expect(worker.requestOf('ask').condition).toBe('no-latents');
  await worker.resolve('ask', answered('5'));
  expect(store.state.answers).toMatchObject({ bottleneck: { text: '4' }, 'no-latents': { text: '5' } });
});

test('stopping ends the worker and opens model and picture in a new one, with nothing said', async () => {
  const worker = await ready();
  void actions.ask();
  void actions.stop();
  await settled();
  expect(worker.isStopped).toBe(true);
  expect(workers).toHaveLength(2);
  expect(workers[1]!.waiting).toEqual(['openPicture', 'openModel']);
  await workers[1]!.resolve('openPicture', SCENE);
  await workers[1]!.resolve('openModel', MODEL);
  expect(store.state).toMatchObject({ model: { status: 'ready' }, running: null, error: null });
  expect(canAsk(store.state)).toBe(true);
});

test('another device, or another storage of weights, opens the same model there', async () => {
  await ready();
  void actions.chooseDevice('webgpu');
  expect(workers[1]!.requestOf('openModel')).toEqual({ source: RANDOM, device: 'webgpu', storage: 'stored' });
  void actions.chooseStorage('int4');
  expect(workers[2]!.requestOf('openModel')).toEqual({ source: RANDOM, device: 'webgpu', storage: 'int4' });
});

describe('a model of the hub', () => {
  const NAME = 'maker/model';
  const HUB: ModelSource = { kind: 'hub', name: NAME };

  test('is fetched only once the person has seen how much that is', async () => {
    const worker = await ready();
    void actions.lookUp(NAME);
    expect(store.state.hubOffer).toEqual({ name: NAME, bytes: null });
    expect(worker.requestOf('lookUp')).toEqual({ name: NAME, device: 'wasm', storage: 'stored' });
    await worker.resolve('lookUp', { bytes: 7 });
    expect(store.state).toMatchObject({ hubOffer: { name: NAME, bytes: 7 }, model: { status: 'ready' } });
    expect(worker.waiting).toEqual([]);
    void actions.openModel(HUB);
    expect(store.state).toMatchObject({ hubOffer: null, model: { status: 'loading', source: HUB } });
  });

  test('that is there already is opened at once', async () => {
    const worker = await ready();
    void actions.lookUp(NAME);
    await worker.resolve('lookUp', { bytes: 0 });
    expect(workers[1]!.requestOf('openModel')).toMatchObject({ source: HUB });
  });

  test('is looked up again for other choices, and an offer that is withdrawn opens nothing', async () => {
    const [worker] = workers;
    void actions.lookUp(NAME);
    await worker!.resolve('lookUp', { bytes: 7 });
    void actions.chooseStorage('int8');
    expect(store.state.hubOffer).toEqual({ name: NAME, bytes: null });
    expect(worker!.requestOf('lookUp').storage).toBe('int8');
    actions.declineOffer();
    await worker!.resolve('lookUp', { bytes: 0 });
    expect(store.state.hubOffer).toBeNull();
    expect(worker!.waiting).toEqual([]);
  });

  test('that is refused leaves one line and no offer', async () => {
    const worker = await ready();
    void actions.lookUp(NAME);
    await worker.reject('lookUp', 'maker/model@main is too large');
    expect(store.state).toMatchObject({ hubOffer: null, error: 'maker/model@main is too large' });
    expect(store.state.model.status).toBe('ready');
  });

  test('can be stopped while it is fetched, and the page goes on with what it had', async () => {
    const worker = await ready();
    void actions.openModel(HUB);
    const fetching = { step: 'fetching', done: 1, total: 2 } as const;
    await workers[1]!.emit('openModel', fetching);
    expect(store.state.model).toEqual({ status: 'loading', source: HUB, progress: fetching });
    actions.stopOpening();
    await settled();
    expect([worker.isStopped, workers[1]!.isStopped]).toEqual([true, true]);
    expect(store.state).toMatchObject({ model: { status: 'stopped', source: HUB }, error: null });
    expect(workers[2]!.waiting).toEqual(['openPicture']);
  });
});

describe('failures become the error line', () => {
  test('of a model, which then is not open', async () => {
    void actions.openModel(RANDOM);
    await workers[0]!.reject('openModel', 'config.json is not JSON');
    expect(store.state).toMatchObject({ model: { status: 'failed' }, error: 'config.json is not JSON' });
  });

  test('of a picture, and the one before stays', async () => {
    const worker = await ready();
    void actions.openPicture({ kind: 'file', file: new File(['x'], 'x.png') });
    await worker.reject('openPicture', 'x.png: not an image');
    expect(store.state).toMatchObject({ picture: { name: 'scene' }, error: 'x.png: not an image' });
    void actions.stop();
    expect(workers[1]!.requestOf('openPicture')).toEqual({ kind: 'scene', index: 0 });
  });

  test('of an answer, and asking works again', async () => {
    const worker = await ready();
    void actions.ask();
    await worker.reject('ask', 'the GPU device was lost');
    expect(store.state).toMatchObject({ running: null, error: 'the GPU device was lost', answers: {} });
    void actions.ask();
    expect(store.state.error).toBeNull();
    expect(worker.waiting).toEqual(['ask']);
  });
});
