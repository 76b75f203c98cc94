import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { OpenPicture, State } from '../state/state.js';
import { Bitmap } from './bitmap.js';
import { conditions } from './conditions.js';
import { HeatMap } from './heat-map.js';
import { HeatMapLegend } from './heat-map-legend.js';
import type { ViewProps } from './view.js';

/** The picture, and over it where the latents looked. A picture dropped here is opened. */
export function PicturePanel({ state, actions }: ViewProps): JSX.Element {
  const [opacity, setOpacity] = useState(0.6);
  const [isTarget, setIsTarget] = useState(false);
  const { picture, condition } = state;
  const map = state.answers[condition]?.map ?? null;
  const text = conditions.find((row) => row.condition === condition)!;
  const drop = (event: DragEvent): void => {
    event.preventDefault();
    setIsTarget(false);
    const file = event.dataTransfer?.files[0];
    if (file) void actions.openPicture({ kind: 'file', file });
  };
  return (
    <figure class="picture">
      <div
        class={isTarget ? 'frame target' : 'frame'}
        onDragOver={(event) => {
          event.preventDefault();
          setIsTarget(true);
        }}
        onDragLeave={() => setIsTarget(false)}
        onDrop={drop}
      >
        {picture && (
          <div class="layers" style={shapeOf(picture)}>
            <Bitmap bitmap={picture.preview} label={`The picture ${picture.name}`} />
            {map && <HeatMap map={map} opacity={opacity} />}
          </div>
        )}
      </div>
      <figcaption>
        <span>{picture ? `${picture.name}, ${picture.width} × ${picture.height}` : 'No picture yet'}</span>
        {state.answers[condition] && <span>{hasLatents(state) ? text.map : 'Where the end of the prompt looked'}</span>}
      </figcaption>
      <HeatMapLegend map={map} opacity={opacity} onOpacity={setOpacity} />
    </figure>
  );
}

/** As wide as the frame, unless it would then be too high to be seen at once. */
const shapeOf = ({ width, height }: OpenPicture): { readonly aspectRatio: string; readonly width: string } => ({
  aspectRatio: `${width} / ${height}`,
  width: `min(100%, ${(70 * width) / height}vh)`,
});

const hasLatents = ({ model }: State): boolean => model.status !== 'ready' || model.summary.latents > 0;
