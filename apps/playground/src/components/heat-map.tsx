import type { AttentionMap } from '@mindseye/latent-reasoning';
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import { heatPixels } from './heat-scale.js';

/** A map over a picture: one cell per visual token, coloured from the least weight to the greatest. */
export function HeatMap({ map, opacity }: { readonly map: AttentionMap; readonly opacity: number }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const { current } = canvas;
    if (!current) return;
    [current.width, current.height] = [map.columns, map.rows];
    current.getContext('2d')?.putImageData(new ImageData(heatPixels(map), map.columns, map.rows), 0, 0);
  }, [map]);
  return <canvas ref={canvas} role="img" aria-label={describe(map)} class="heat sharp" style={{ opacity }} />;
}

/** The map in words: the three cells with the most of it. */
function describe({ columns, weights }: AttentionMap): string {
  const largest = [...weights.keys()].toSorted((a, b) => weights[b]! - weights[a]!).slice(0, 3);
  const cells = largest.map((at) => {
    const percent = (100 * weights[at]!).toFixed(1);
    return `row ${Math.floor(at / columns) + 1}, column ${(at % columns) + 1} (${percent} %)`;
  });
  return `Heat map of where the latents looked. Most at ${cells.join('; ')}.`;
}
