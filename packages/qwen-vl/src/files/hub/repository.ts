/** Names of models on a hub: `organisation/name`, with a branch, tag or commit behind an `@`. */
import { InvalidInputError, quoteValue } from '../../errors.js';

export interface HubRepository {
  /** Such as `Qwen/Qwen2.5-VL-3B-Instruct`. */
  readonly name: string;
  /** Branch, tag, or the 40 hexadecimal digits of a commit. */
  readonly revision: string;
}

const DEFAULT_REVISION = 'main';

/** Source: the rules of huggingface_hub `utils/_validators.py`, validate_repo_id. */
const PART = '[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?';
const NAME = new RegExp(`^${PART}/${PART}$`);

/** As git allows it, less what means something in a path or an address. */
const REVISION = /^[A-Za-z0-9_][A-Za-z0-9_.+-]*(?:\/[A-Za-z0-9_][A-Za-z0-9_.+-]*)*$/;

const COMMIT = /^[0-9a-f]{40}$/;

const isName = (text: string): boolean => NAME.test(text) && !/--|\.\./.test(text);

/** Whether a revision is a commit, which no later push can change. */
export const isCommit = (revision: string): boolean => COMMIT.test(revision);

/**
 * Reads `organisation/name` or `organisation/name@revision`; undefined when a text is not of that form, such as a path.
 * @param revision in place of one in the text
 * @throws InvalidInputError when there are two revisions, or one that git would not take
 */
export function parseRepository(text: string, revision?: string): HubRepository | undefined {
  const at = text.indexOf('@');
  const name = at < 0 ? text : text.slice(0, at);
  if (!isName(name)) return undefined;
  const inText = at < 0 ? undefined : text.slice(at + 1);
  if (inText !== undefined && revision !== undefined && inText !== revision) {
    throw new InvalidInputError(
      `${name}: the revisions ${quoteValue(inText)} (behind the @) and ${quoteValue(revision)} are two; give one`,
    );
  }
  const asked = revision ?? inText ?? DEFAULT_REVISION;
  if (asked.length > 200 || !REVISION.test(asked) || asked.includes('..')) {
    throw new InvalidInputError(
      `${name}: ${quoteValue(asked)} is no revision; give a branch, a tag or a commit, such as main`,
    );
  }
  return { name, revision: asked };
}

/** As it is written: `organisation/name@revision`. */
export const repositoryLabel = ({ name, revision }: HubRepository): string => `${name}@${revision}`;
