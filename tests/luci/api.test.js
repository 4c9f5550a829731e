'use strict';

/* What becomes of the router's answers. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

/* The API with one answer for every call. */
function answering(answer) {
	return load('nfa.api', {
		rpc: { declare: () => (...given) => answer(...given), getStatusText: status => `status ${status}` },
		fs: { exec: () => answer() }
	});
}

const GONE = () => Promise.reject(new Error('RPC call to nfa/status failed with error -32000: Object not found'));

test('what is polled is null without the daemon', async () => {
	for (const answer of [ GONE, () => Promise.resolve(4), () => Promise.resolve({ error: 'no' }), () => Promise.reject(new Error('timeout')) ])
		assert.equal(await answering(answer).status(), null);
});

test('what is polled is the answer', async () => {
	assert.deepEqual(await answering(() => Promise.resolve({ uptime: 1 })).status(), { uptime: 1 });
});

test('what was asked for says why it did not work', async () => {
	await assert.rejects(answering(GONE).reload(), /The daemon is not running/);
	await assert.rejects(answering(() => Promise.resolve({ error: "no such target: 'x'" })).flush('x'), /no such target: 'x'/);
	await assert.rejects(answering(() => Promise.resolve(6)).reload(), /status 6/);
	await assert.rejects(answering(() => Promise.reject(new Error('no network'))).reload(), /no network/);
});

test('names are asked for until there are no more', async () => {
	const api = answering((search, offset) => Promise.resolve({ apps: [ { name: `a${offset}` } ], more: offset < 2 }));
	assert.deepEqual((await api.apps()).map(app => app.name), [ 'a0', 'a1', 'a2' ]);
	assert.deepEqual(await answering(GONE).apps(), []);
});

test('what is polled as a whole is null without the daemon, and all pages with it', async () => {
	const api = answering((search, offset) => Promise.resolve({ actions: [ { name: `a${offset}` } ], targets: [ { name: 'x' } ], more: offset < 2 }));
	assert.deepEqual((await api.all_actions()).map(item => item.name), [ 'a0', 'a1', 'a2' ]);
	assert.equal((await api.all_targets()).length, 3);
	assert.equal(await answering(GONE).all_actions(), null);
});

test('a login that may not ask is told from a daemon that is away', async () => {
	const refused = answering(() => Promise.reject(new Error('RPC call to service/list failed with error -32002: Access denied')));
	assert.equal(refused.is_refused(), false);
	assert.equal((await refused.service()).known, false);
	assert.equal(refused.is_refused(), true);
	const gone = answering(GONE);
	await gone.status();
	assert.equal(gone.is_refused(), false);
});

test('a service that procd knows and that does not run has ended by itself', async () => {
	const service = list => answering(() => Promise.resolve(list)).service();
	assert.deepEqual(await service({}), { known: false, running: false, pid: undefined });
	assert.deepEqual(await service({ nfa: { instances: { a: { running: true, pid: 5 } } } }), { known: true, running: true, pid: 5 });
	assert.deepEqual(await service({ nfa: { instances: { helper: { running: true }, instance1: { running: false } } } }).then(found => found.running), false);
	assert.deepEqual(await service({ nfa: { instances: { a: { running: false } } } }), { known: true, running: false, pid: undefined });
	assert.equal((await answering(GONE).service()).running, false);
});

test('a script that fails says so in its own words', async () => {
	await assert.rejects(answering(() => Promise.resolve({ code: 1, stderr: 'no such thing' })).service_do('start'), /no such thing/);
});
