import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';

/** A bitmap as an image of the page; small ones keep their pixels sharp. */
export function Bitmap({ bitmap, label }: { readonly bitmap: ImageBitmap; readonly label: string }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  useLayoutEffect(() => {
    const { current } = canvas;
    if (!current) return;
    [current.width, current.height] = [bitmap.width, bitmap.height];
    current.getContext('2d')?.drawImage(bitmap, 0, 0);
  }, [bitmap]);
  return <canvas ref={canvas} role="img" aria-label={label} class={bitmap.width < 256 ? 'sharp' : undefined} />;
}
