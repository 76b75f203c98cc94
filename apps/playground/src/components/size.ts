/** Bytes for people, in decimal units as the hub shows them. */
const [megabytes, gigabytes] = (['megabyte', 'gigabyte'] as const).map(
  (unit) => new Intl.NumberFormat('en', { style: 'unit', unit, maximumSignificantDigits: 3 }),
);

/** Such as `1.56 MB` or `7.51 GB`. */
export const size = (bytes: number): string =>
  bytes < 1e9 ? megabytes!.format(bytes / 1e6) : gigabytes!.format(bytes / 1e9);
