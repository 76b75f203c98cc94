/** What every part of the page is given: what to show, and what can be done. */
import type { Actions } from '../state/actions.js';
import type { State } from '../state/state.js';

export interface ViewProps {
  readonly state: State;
  readonly actions: Actions;
}
