'use strict';

/* The tile on the page Status > Overview. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

async function tile(answer, enabled) {
	const shown = load('view.status.include.55_nfa', {
		rpc: { declare: options => () => answer(options), getStatusText: status => `status ${status}` },
		uci: { load: () => Promise.resolve(), get: () => enabled }
	});
	return shown.render(await shown.load())?.textContent ?? null;
}

const away = ({ object }) => object === 'nfa' ? Promise.reject(new Error('error -32000: Object not found')) : Promise.resolve({});

test('a daemon that is disabled is not said to be merely stopped', async () => {
	assert.match(await tile(away, 'off'), /Switched off/);
	assert.match(await tile(away, undefined), /Stopped/);
});

test('a tile has no button to press', async () => {
	assert.doesNotMatch(await tile(away, undefined), /Press/);
});

test('a login that may not ask sees no tile', async () => {
	const refused = () => Promise.reject(new Error('RPC call to nfa/status failed with error -32002: Access denied'));
	assert.equal(await tile(refused, undefined), null);
});
