/** The parts of the page as a person sees them, and what is done again and again. */
import type { Page, ServedFiles } from './opened-page.js';

/** Nothing beside the page. */
export const NO_MODEL: ServedFiles = new Map();
export const heatMap = (page: Page) => page.getByRole('img', { name: 'Heat map' });
export const answer = (page: Page) => page.locator('.answer-text');
export const facts = (page: Page) => page.locator('.facts');

/** An answer as the page writes it. */
export const shown = (text: string): string =>
  text === '' ? '(no text)' : text.replaceAll(/\p{Cc}/gu, (c) => JSON.stringify(c).slice(1, -1));

export async function buildRandomModel(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Build a random model' }).click();
  await page.getByText('random weights, seed 0').waitFor();
}

export async function ask(page: Page): Promise<string | null> {
  await page.getByRole('button', { name: 'Ask', exact: true }).click();
  await facts(page).waitFor();
  return answer(page).textContent();
}
