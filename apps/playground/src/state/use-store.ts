import { useEffect, useState } from 'preact/hooks';
import type { State } from './state.js';
import type { Store } from './store.js';

/** The state, in a component that is drawn again whenever it changes. */
export function useStore(store: Store): State {
  const [state, setState] = useState(store.state);
  useEffect(() => {
    setState(store.state);
    return store.subscribe(() => setState(store.state));
  }, [store]);
  return state;
}
