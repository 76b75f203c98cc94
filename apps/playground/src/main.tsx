import { render } from 'preact';
import { App } from './components/app.js';
import { Actions } from './state/actions.js';
import { Store } from './state/store.js';
import './styles/theme.css';
import './styles/layout.css';
import './styles/controls.css';
import './styles/picture.css';
import { WorkerClient } from './worker/client.js';

const store = new Store();
const actions = new Actions(store, () => new WorkerClient());
render(<App store={store} actions={actions} />, document.getElementById('app')!);
void actions.start(document.baseURI);
