import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { OpenPicture, State } from '../state/state.js';
import { Bitmap } from './bitmap.js';
import { conditions } from './conditions.js';
import { HeatMap } from './heat-map.js';
import { HeatMapLegend } from './heat-map-legend.js';
import type { ViewProps } from './view.js';

/** The picture, and over it where the latents looked. A picture dropped here is opened, as one dropped anywhere is. */
export function PicturePanel({ state }: ViewProps): JSX.Element {
  const [opacity, setOpacity] = useState(0.6);
  const [isTarget, setIsTarget] = useState(false);
  const { picture, condition } = state;
  const answer = state.answers[condition];
  const map = answer?.map ?? null;
  return (
    <figure class="picture">
      <div
        class={isTarget ? 'frame target' : 'frame'}
        onDragOver={() => setIsTarget(true)}
        onDragLeave={() => setIsTarget(false)}
        onDrop={() => setIsTarget(false)}
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
        {answer && <span>{mapText(state)}</span>}
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

/** What the map of the present answer shows, or why there is none. */
function mapText({ model, condition, answers }: State): string {
  const text = conditions.find((row) => row.condition === condition)!;
  if (text.hasMap && !answers[condition]?.map) return 'Too large for a map';
  return model.status === 'ready' && model.summary.latents === 0 ? 'Where the end of the prompt looked' : text.map;
}
