/** Scenes of the counting task that the page offers: its test split, which is never trained on. */
export const SCENE_COUNT = 2000;

/** A scene's number as typed, brought into range. */
export const sceneNumber = (typed: number): number =>
  Number.isFinite(typed) ? Math.min(SCENE_COUNT - 1, Math.max(0, Math.trunc(typed))) : 0;
