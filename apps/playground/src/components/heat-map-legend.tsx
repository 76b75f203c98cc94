import type { AttentionMap } from '@mindseye/latent-reasoning';
import type { JSX } from 'preact';
import { heatGradient } from './heat-scale.js';

export interface HeatMapLegendProps {
  readonly map: AttentionMap | null;
  readonly opacity: number;
  readonly onOpacity: (opacity: number) => void;
}

/** What the colours mean, and how strongly they cover the picture. */
export function HeatMapLegend({ map, opacity, onOpacity }: HeatMapLegendProps): JSX.Element {
  const largest = map ? map.weights.reduce((most, weight) => Math.max(most, weight), 0) : null;
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
      {largest !== null && (
        <span class="scale" aria-label={`Attention per cell, from 0 to ${percent(largest)}`}>
          <span>0</span>
          <span class="ramp" style={{ background: heatGradient }} />
          <span>{percent(largest)}</span>
        </span>
      )}
    </div>
  );
}

const percent = (weight: number): string => `${(100 * weight).toFixed(1)} %`;
