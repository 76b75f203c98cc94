/** Bytes for people: decimal units, three digits, as the hub shows them. */
const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'] as const;

/** Such as `512 bytes`, `3.97 GB`. */
export function byteCount(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toPrecision(3)} ${UNITS[unit]!}`;
}
