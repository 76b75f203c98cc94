/** Bytes for people, in decimal units as the hub shows them. */
const units = (
  [
    [1e9, 'gigabyte'],
    [1e6, 'megabyte'],
    [1e3, 'kilobyte'],
  ] as const
).map(([bytes, unit]) => ({
  bytes,
  format: new Intl.NumberFormat('en', { style: 'unit', unit, maximumSignificantDigits: 3 }),
}));

/** Such as `52 kB`, `1.56 MB`, `7.51 GB`. */
export function size(bytes: number): string {
  const unit = units.find((candidate) => bytes >= candidate.bytes) ?? units.at(-1)!;
  return unit.format.format(bytes / unit.bytes);
}
