/**
 * A colour ramp whose steps look equally large: a straight line in lightness and a turn in hue through OKLCh, from a dark
 * violet over red and orange to a pale yellow.
 *
 *   L = 0.18 + 0.77 t,   h = 300° + 165° t,   C = 0.06 + 0.16 sin(π t^0.8)
 *
 * Lightness rises with t, so the ramp reads in grey and for people who do not tell red from green.
 * OKLab to linear sRGB: B. Ottosson, "A perceptual color space for image processing" (2020).
 */

export type Rgb = readonly [red: number, green: number, blue: number];

/** The colour at `t` from 0 to 1, as sRGB levels 0 to 255. */
export function rampColor(t: number): Rgb {
  const lightness = 0.18 + 0.77 * t;
  const hue = ((300 + 165 * t) * Math.PI) / 180;
  const chroma = 0.06 + 0.16 * Math.sin(Math.PI * t ** 0.8);
  return oklabToSrgb(lightness, chroma * Math.cos(hue), chroma * Math.sin(hue));
}

function oklabToSrgb(lightness: number, a: number, b: number): Rgb {
  const long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const short = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    level(4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short),
    level(-1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short),
    level(-0.0041960863 * long - 0.7034186147 * medium + 1.707614701 * short),
  ];
}

/** Linear light, clipped to the gamut, as an sRGB level. */
function level(linear: number): number {
  const light = Math.min(1, Math.max(0, linear));
  const encoded = light <= 0.0031308 ? 12.92 * light : 1.055 * light ** (1 / 2.4) - 0.055;
  return Math.round(255 * encoded);
}
