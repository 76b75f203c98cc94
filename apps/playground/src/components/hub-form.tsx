import type { JSX } from 'preact';
import { useState } from 'preact/hooks';
import type { HubOffer } from '../state/state.js';
import { size } from './size.js';
import type { ViewProps } from './view.js';

/** A model of Hugging Face by its name: first what there is to fetch is said, then it is fetched. */
export function HubForm({ state: { hubOffer, model }, actions }: ViewProps): JSX.Element {
  const [name, setName] = useState('');
  const asked = name.trim();
  const submit = (event: Event): void => {
    event.preventDefault();
    if (asked !== '') void actions.lookUp(asked);
  };
  return (
    <form class="hub" onSubmit={submit}>
      <label for="hub-name">From Hugging Face</label>
      <div class="row">
        <input
          id="hub-name"
          type="text"
          placeholder="organisation/name@revision"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          value={name}
          onInput={({ currentTarget }) => {
            setName(currentTarget.value);
            actions.declineOffer();
          }}
        />
        <button type="submit" disabled={asked === '' || hubOffer !== null || model.status === 'loading'}>
          Open
        </button>
      </div>
      <div role="status">
        {hubOffer && (
          <Offer offer={hubOffer} onAccept={() => void actions.openModel({ kind: 'hub', name: hubOffer.name })} />
        )}
      </div>
    </form>
  );
}

function Offer({
  offer: { name, bytes },
  onAccept,
}: {
  readonly offer: HubOffer;
  readonly onAccept: () => void;
}): JSX.Element {
  if (bytes === null) return <p class="hint">Asking what there is to fetch…</p>;
  return (
    <div class="notice offer">
      <p>
        {name} has {size(bytes)} to fetch. They are kept in this browser for the next time.
      </p>
      <button type="button" class="primary" onClick={onAccept}>
        Fetch {size(bytes)}
      </button>
    </div>
  );
}
