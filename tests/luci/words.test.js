'use strict';

/* How times and counts are said. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const words = load('nfa.words');

test('a span is said in the unit that a person would use', () => {
	assert.equal(words.seconds(0), '0 s');
	assert.equal(words.seconds(59), '59 s');
	assert.equal(words.seconds(60), '1 min');
	assert.equal(words.seconds(3599), '59 min');
	assert.equal(words.seconds(3660), '1 h 1 min');
	assert.equal(words.seconds(86400), '1 day');
	assert.equal(words.seconds(86400 * 3), '3 days');
	assert.equal(words.errors(1), '1 error');
	assert.equal(words.warnings(0), '0 warnings');
});

test('what never was is not said to be long ago', () => {
	assert.equal(words.ago(null, 1000), 'never');
	assert.equal(words.ago(990, 1000), '10 s ago');
});

test('a moment that a clock puts into the future was just now', () => {
	assert.equal(words.ago(1005, 1000), '0 s ago');
});

test('an element without an end stays', () => {
	assert.equal(words.left(null), 'for ever');
	assert.equal(words.left(0), '0 s');
});

test('what failed is told as text, whatever it holds', () => {
	let told = null;
	const speaking = load('nfa.words', { ui: { addNotification: (title, children) => { told = children; } } });
	speaking.complain('Stop', new Error('<img src=x onerror=alert(1)>'));
	assert.equal(told.map(node => node.textContent).join('|'), 'Stop|<img src=x onerror=alert(1)>');
});

test('a button that is busy cannot be pressed, and can again when its work has failed', async () => {
	let end = null;
	const speaking = load('nfa.words', { ui: { addNotification: () => null } });
	const button = speaking.button('Flush', 'remove', () => new Promise((resolve, reject) => { end = reject; }));
	const pressed = button.attributes.click();
	await Promise.resolve();
	assert.equal(button.disabled, true);
	end(new Error('no'));
	await pressed;
	assert.equal(button.disabled, false);
});

test('a sentence begins with a capital letter, and a name as it is written', () => {
	const said = {
		'look here': 'Look here.',
		'did you mean "x"?': 'Did you mean "x"?',
		'run: nfa route apply': 'Run: nfa route apply.',
		'back-references are not supported': 'Back-references are not supported.',
		"it's so": "It's so.",
		'tc means bytes by bps': 'tc means bytes by bps.',
		"netifyd's files cannot be read": "netifyd's files cannot be read.",
		'netifyd 5 does not report JA3': 'netifyd 5 does not report JA3.',
		'nfa: too late': 'nfa: too late.',
		'docs/recipes.md tells more': 'docs/recipes.md tells more.',
		'flow_offloading_hw, offloading by hardware': 'flow_offloading_hw, offloading by hardware.',
		'time_start must be there': 'time_start must be there.',
		'eth0.2 is gone': 'eth0.2 is gone.',
		"'nfa check' shows it": "'nfa check' shows it.",
		'/etc/config is not there': '/etc/config is not there.',
		'unix:///PATH is missing': 'unix:///PATH is missing.',
		'\u00e9t\u00e9': '\u00c9t\u00e9.',
		'': ''
	};
	assert.deepEqual(Object.fromEntries(Object.keys(said).map(text => [ text, words.sentence(text) ])), said);
});
