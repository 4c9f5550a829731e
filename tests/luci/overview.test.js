'use strict';

/* The page Overview, where it is more than what health.js says. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

test('after a button has done its work, what was asked before is not shown as its effect', async () => {
	const done = [];
	const page = load('view.nfa.overview', { globals: { setTimeout: () => null } });
	page.show_buttons = () => null;
	page.settled = () => Promise.resolve(null);
	page.buttons = {};
	page.refresh = () => {
		done.push('asked anew');
		return Promise.resolve();
	};
	page.pending = new Promise(resolve => setTimeout(resolve, 20)).then(() => { done.push('old answer'); });
	await page.act({ style: {}, disabled: true }, 'Stop', () => { done.push('stopped'); });
	assert.deepEqual(done, [ 'stopped', 'old answer', 'asked anew' ]);
});
