/**
 * The programs of a guide: its ```ts blocks, in order. A block of ```text below a program is what the program prints.
 */
export interface Program {
  /** The heading it stands under, and its line in the guide. */
  readonly title: string;
  readonly code: string;
  /** What the guide says that it prints; undefined where it says nothing. */
  readonly printed: string | undefined;
}

const block = /^```(?<language>ts|text)\n(?<content>[\s\S]*?)^```$/gm;

export function programsOf(markdown: string): Program[] {
  const programs: { title: string; code: string; printed: string | undefined }[] = [];
  for (const { groups, index } of markdown.matchAll(block)) {
    const before = markdown.slice(0, index);
    const heading = /^#+ (.*)$/gm;
    if (groups!['language'] === 'ts')
      programs.push({
        title: `${[...before.matchAll(heading)].at(-1)?.[1] ?? 'no heading'}, line ${before.split('\n').length}`,
        code: groups!['content']!,
        printed: undefined,
      });
    else if (programs.length > 0) programs.at(-1)!.printed = groups!['content']!;
  }
  return programs;
}

/** The guide with what the programs really print. */
export function withOutputs(markdown: string, outputs: readonly string[]): string {
  let program = -1;
  return markdown.replace(block, (whole, language: string) => {
    if (language === 'ts') program++;
    return language === 'ts' ? whole : `\`\`\`text\n${outputs[program]!}\`\`\``;
  });
}
