/**
 * The fontconfig file of the unpacked Chromium. The one in the archive names AWS Lambda's folders: with it no font is
 * found, all text has zero size, and browser drivers take every element for hidden. Both paths are absolute: a relative
 * cache directory would be taken relative to the working directory and litter it.
 */
export const fontsConf = (folder: string): string => `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>${folder}/fonts</dir>
  <cachedir>${folder}/fonts-cache</cachedir>
</fontconfig>
`;
