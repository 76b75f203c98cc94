import type { AttentionMap } from '@mindseye/latent-reasoning';
import type { JSX } from 'preact';
import { heatGradient, rangeOf } from './heat-scale.js';

export interface HeatMapLegendProps {
  readonly map: AttentionMap | null;
  readonly opacity: number;
  readonly onOpacity: (opacity: number) => void;
}

/** What the colours mean, and how strongly they cover the picture. */
export function HeatMapLegend({ map, opacity, onOpacity }: HeatMapLegendProps): JSX.Element {
  const range = map && rangeOf(map);
  return (
    <div class="legend">
      <label for="opacity">Heat map opacity</label>
      <input
        id="opacity"
        type="range"
        min={0}
        max={100}
        step={5}
        value={Math.round(100 * opacity)}
        disabled={!map}
        aria-valuetext={`${Math.round(100 * opacity)} percent`}
        onInput={({ currentTarget }) => onOpacity(currentTarget.valueAsNumber / 100)}
      />
      {range && (
        <span class="scale">
          <span class="visually-hidden">Attention per cell from</span>
          <span>{percent(range.least)}</span>
          <span class="ramp" style={{ background: heatGradient }} />
          <span>{percent(range.most)}</span>
        </span>
      )}
    </div>
  );
}

const percent = (weight: number): string => `${(100 * weight).toFixed(1)} %`;
