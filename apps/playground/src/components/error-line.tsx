import type { JSX } from 'preact';
import type { ViewProps } from './view.js';

/** What went wrong last, until it is dismissed or something works again. */
export function ErrorLine({ state: { error }, actions }: ViewProps): JSX.Element {
  return (
    <div role="alert">
      {error !== null && (
        <p class="error">
          <span>{error}</span>
          <button type="button" class="quiet" onClick={() => actions.dismissError()}>
            Dismiss
          </button>
        </p>
      )}
    </div>
  );
}
