'use strict';

/* Names of sections: which are free, and what uses them. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

function names(sections) {
	const uci = {
		get: (config, name) => sections.find(section => section['.name'] === name) ?? null,
		sections: (config, type) => sections.filter(section => section['.type'] === type)
	};
	return load('nfa.names', { uci, 'nfa.api': { CONFIG: 'netify-proc-flow-actions' } });
}

const section = (type, name, more) => ({ '.type': type, '.name': name, ...more });

test('a name that a section of any type has is refused', () => {
	const known = names([ section('action', 'one'), section('nfa', 'main') ]);
	for (const type of [ 'action', 'target', 'time_of_day', 'exemption', 'sink', 'channel' ])
		assert.match(known.problem(type, 'one'), /The name one is in use/);
	assert.equal(known.problem('target', 'two'), '');
});

test('names of the daemon and of JavaScript are refused', () => {
	const known = names([]);
	for (const name of [ 'main', 'global', 'constructor', 'toString', '__proto__', 'valueOf' ])
		assert.notEqual(known.problem('action', name), '', name);
	assert.equal(known.problem('exemption', 'global'), '');
	for (const name of [ '', 'a b', 'a-b', 'a.b', null ])
		assert.match(known.problem('action', name), /letters, digits/);
});

test('what uses a section is told by name', () => {
	const known = names([
		section('action', 'one', { target: [ 'set' ], time_of_day: 'night' }), section('action', 'two', { targets: 'set', exemption: [ 'list' ] }),
		section('target', 'mail', { sink: 'my-sink' }), section('channel', 'outbox', { sink: 'my_sink' })
	]);
	assert.deepEqual(known.users('target', 'set'), [ 'Rules that use it: one, two' ]);
	assert.deepEqual(known.users('time_of_day', 'night'), [ 'Rules that use it: one' ]);
	assert.deepEqual(known.users('exemption', 'list'), [ 'Rules that use it: two' ]);
	assert.deepEqual(known.users('exemption', 'global'), [ 'It applies to all rules.' ]);
	assert.deepEqual(known.users('sink', 'my_sink'), [ 'Targets that use it: mail', 'Channels that use it: outbox' ]);
	assert.deepEqual(known.users('target', 'other'), []);
	assert.deepEqual(known.users('action', 'one'), []);
});
