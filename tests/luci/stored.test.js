'use strict';

/* What sections hold, and under which name. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

function stored(sections) {
	const uci = {
		get: (config, name) => sections[name] ?? null,
		set: (config, name, option, value) => { sections[name][option] = value; },
		add: (config, type, name) => { sections[name] = { '.type': type, '.name': name }; }
	};
	return load('nfa.stored', { uci, 'nfa.api': { CONFIG: 'netify-proc-flow-actions' } });
}

test('of two names of an option, the one that is given last counts, as for the daemon', () => {
	const known = stored({});
	assert.deepEqual(known.exemptions({ exemption: [ 'a' ], exemptions: 'b c' }), [ 'b c' ]);
	assert.deepEqual(known.exemptions({ exemptions: [ 'b' ], exemption: [ 'a' ] }), [ 'a' ]);
	assert.deepEqual(known.exemptions({}), []);
	assert.deepEqual(known.exemptions(null), []);
});

test('one text with spaces stays one entry when another is added', () => {
	const sections = { one: { '.type': 'action', exemptions: 'app == \'x\' && ip == 1.2.3.4;' } };
	stored(sections).exempt('one', 'b');
	assert.deepEqual(sections.one.exemptions, [ 'app == \'x\' && ip == 1.2.3.4;', 'b' ]);
});

test('a section of another type is not written into', () => {
	const sections = { global: { '.type': 'target' }, set: { '.type': 'target' } };
	assert.throws(() => stored(sections).exempt('global', 'a'), /The name global is in use/);
	assert.throws(() => stored(sections).exempt('set', 'a'), /The name set is in use/);
	assert.throws(() => stored(sections).exempt('gone', 'a'));
	assert.deepEqual(sections.global, { '.type': 'target' });
});
