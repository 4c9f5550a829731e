'use strict';

/* From a match to an exemption: what the daemon says of a choice decides whether one can go on with it. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, E } = require('./loader.js');

/* Open the dialog "Exempt" on two choices. Returns { what, yes, said, answer(reports) }. */
async function leave_alone() {
	const dialogs = [], asked = [];
	let said = '';
	const parts = {
		state: () => ({ node: E('p', {}), say: text => { said = text; } }),
		dialog: (title, content, buttons) => {
			dialogs.push({ content: E('div', {}, content), buttons });
			return { close: () => null };
		}
	};
	const text = () => 'x';
	const why = load('nfa.why', {
		'nfa.api': { explain: () => new Promise(() => null), checkExemptions: shown => new Promise(resolve => asked.push({ shown, resolve })) },
		'nfa.flow': {
			application: text, protocol: text, hostname: text, device: text, end: text,
			choices: () => [ { title: 'one', expression: 'a' }, { title: 'other', expression: 'b' } ]
		},
		'nfa.parts': parts,
		'nfa.staging': { load: () => Promise.resolve(), changeable: () => [] },
		'nfa.stored': { GLOBAL: 'global' }
	});
	why.open({ flow: {}, actions: [] }, {});
	dialogs[0].buttons[0].attributes.click();
	await new Promise(setImmediate);
	const [ what ] = dialogs[1].content.all('select');
	what.value = '0';
	const settle = () => new Promise(setImmediate);
	return {
		yes: dialogs[1].buttons[0],
		said: () => said,
		choose: value => { what.value = value; what.attributes.change(); },
		answer: (number, reports) => { asked[number].resolve({ reports }); return settle(); }
	};
}

test('there is no going on before the daemon has answered, nor with what it refuses', async () => {
	const dialog = await leave_alone();
	assert.equal(dialog.yes.disabled, true);
	await dialog.answer(0, []);
	assert.equal(dialog.yes.disabled, false);
	dialog.choose('1');
	assert.equal(dialog.yes.disabled, true);
	await dialog.answer(1, [ { severity: 'warning', message: 'odd' }, { severity: 'error', message: 'wrong' } ]);
	assert.equal(dialog.yes.disabled, true);
	assert.equal(dialog.said(), 'wrong');
});

test('a warning is told, and one may go on', async () => {
	const dialog = await leave_alone();
	await dialog.answer(0, [ { severity: 'warning', message: 'odd' } ]);
	assert.equal(dialog.said(), 'odd');
	assert.equal(dialog.yes.disabled, false);
});

test('an answer to an earlier choice says nothing of this one', async () => {
	const dialog = await leave_alone();
	dialog.choose('1');
	await dialog.answer(0, []);
	assert.equal(dialog.yes.disabled, true);
});

test('the narrow choice comes first, and what has nothing to do with it is folded', async () => {
	const dialogs = [];
	const text = () => 'x';
	const step = (action, outcome) => ({ action, outcome, why: [] });
	const why = load('nfa.why', {
		'nfa.api': {
			explain: () => Promise.resolve({ steps: [ step('idle', 'off'), step('kids', 'matched'), step('work', 'no match') ], exempt: [], effects: {}, skipped: {} }),
			checkExemptions: () => Promise.resolve({ reports: [] })
		},
		'nfa.flow': { application: text, protocol: text, hostname: text, device: text, end: text, choices: () => [ { title: 'one', expression: 'a' } ] },
		'nfa.parts': {
			state: () => ({ node: E('p', {}), say: () => null }),
			dialog: (title, content, buttons) => dialogs.push({ title, content: E('div', {}, content), buttons })
		},
		'nfa.staging': { load: () => Promise.resolve(), changeable: names => names },
		'nfa.stored': { GLOBAL: 'global' }
	});
	await why.open({ flow: {}, actions: [ 'kids' ] }, {});
	const [ folded ] = dialogs[0].content.all('details');
	assert.match(folded.textContent, /^2 rules have nothing to do with it/);
	assert.ok(!folded.textContent.includes('kids') && folded.textContent.includes('idle'));
	assert.equal(dialogs[0].buttons[0].textContent, 'Allow');
	dialogs[0].buttons[0].attributes.click();
	await new Promise(setImmediate);
	assert.equal(dialogs[1].title, 'Allow');
	const who = dialogs[1].content.all('select').find(node => node.getAttribute('id') === 'nfa-start-for');
	assert.deepEqual(who.all('option').map(node => node.getAttribute('value')), [ 'kids', 'global' ]);
});
