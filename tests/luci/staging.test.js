'use strict';

/* The changes of the configuration that begin at a flow. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

/* The module on a configuration: sections by their names, with as much of LuCI's `uci` as it uses. */
function staging(sections) {
	const uci = {
		load: () => Promise.resolve(),
		save: () => Promise.resolve(),
		get: (config, name, option) => option == null ? sections[name] ?? null : sections[name]?.[option],
		set: (config, name, option, value) => { sections[name][option] = value; },
		add: (config, type, name) => { sections[name] = { '.type': type, '.name': name }; return name; },
		sections: (config, type) => Object.values(sections).filter(section => !type || section['.type'] === type)
	};
	return load('nfa.staging', { uci, 'nfa.api': { CONFIG: 'netify-proc-flow-actions' } });
}

const action = (name, more) => ({ [name]: { '.type': 'action', '.name': name, ...more } });

test('an exemption for all policies makes the section that holds them', async () => {
	const sections = {};
	await staging(sections).exempt('app == \'x\';', 'global');
	assert.deepEqual(sections.global, { '.type': 'exemption', '.name': 'global', exemption: [ 'app == \'x\';' ] });
});

test('an exemption is added to those that are there, under the name that they have', async () => {
	const sections = { ...action('one', { exemptions: 'ip == 1.2.3.4;' }), ...action('two', { exemption: [ 'a' ] }) };
	await staging(sections).exempt('b', 'one');
	await staging(sections).exempt('b', 'two');
	await staging(sections).exempt('b', 'two');
	assert.deepEqual(sections.one.exemptions, [ 'ip == 1.2.3.4;', 'b' ]);
	assert.equal(sections.one.exemption, undefined);
	assert.deepEqual(sections.two.exemption, [ 'a', 'b' ]);
});

test('only actions of the configuration can be changed', () => {
	const known = staging({ ...action('mine'), set: { '.type': 'target', '.name': 'set' } });
	assert.deepEqual(known.changeable([ 'mine', 'of a file', 'set' ]), [ 'mine' ]);
	assert.throws(() => known.exempt('b', 'of a file'));
});

test('a new policy is off until it has a target', async () => {
	const sections = {};
	await staging(sections).add('one', 'app == \'x\';', '');
	await staging(sections).add('two', 'app == \'x\';', 'set');
	assert.deepEqual(sections.one, { '.type': 'action', '.name': 'one', enabled: '0', criteria: [ 'app == \'x\';' ] });
	assert.deepEqual(sections.two, { '.type': 'action', '.name': 'two', enabled: '1', criteria: [ 'app == \'x\';' ], target: [ 'set' ] });
});

test('a name that is taken, or that UCI would not take, is refused', () => {
	const known = staging(action('one'));
	assert.throws(() => known.add('one', 'a', ''));
	assert.throws(() => known.add('a-b', 'a', ''));
	assert.throws(() => known.add('', 'a', ''));
});
