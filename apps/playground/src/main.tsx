import { render } from 'preact';

const root = document.getElementById('app');
if (root) render(<h1>Mind's Eye</h1>, root);
