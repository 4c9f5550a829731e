'use strict';

/* What is done to a rule without opening it. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, E } = require('./loader.js');

/* The module with dialogs that are kept, and a bus whose calls are kept. */
function opened(api, uci) {
	const dialogs = [], calls = [];
	const call = name => (...given) => {
		calls.push([ name, ...given ]);
		return Promise.resolve({});
	};
	const parts = { dialog: (title, content, buttons) => {
		dialogs.push({ title, node: E('div', {}, content), buttons });
		return { close: () => null };
	} };
	const upkeep = load('nfa.upkeep', { 'nfa.parts': parts, 'nfa.api': { CONFIG: 'x', pause: call('pause'), add_budget: call('add'), ...api }, ...(uci ? { uci } : {}) });
	return { upkeep, dialogs, calls };
}
const settle = () => new Promise(setImmediate);
const press = async (node, text) => {
	node.all('button').find(one => one.textContent === text).attributes.click();
	await settle();
};

test('a pause is for minutes, or until the morning by the router\'s clock', async () => {
	const { upkeep, dialogs, calls } = opened();
	let done = 0;
	upkeep.pause('kids', 'tue 21:30', () => { done++; });
	for (const text of [ '15 minutes', '30 minutes', '60 minutes', 'Until 6:00 in the morning' ])
		await press(dialogs[0].node, text);
	assert.deepEqual(calls, [ [ 'pause', 'kids', 900 ], [ 'pause', 'kids', 1800 ], [ 'pause', 'kids', 3600 ], [ 'pause', 'kids', 8.5 * 3600 ] ]);
	assert.equal(done, 4);
	assert.equal(upkeep.until_morning('wed 06:00', new Date()), 86400, 'never nothing');
	assert.equal(upkeep.until_morning('wed 5:59', new Date()), 60);
	assert.equal(upkeep.until_morning('', new Date(2026, 1, 1, 7, 0)), 23 * 3600);
});

test('the end of a pause is said by the router\'s clock', () => {
	const { upkeep } = opened();
	const now = new Date(1800000000000), at = seconds => 1800000000 + seconds;
	assert.equal(upkeep.moment(at(1800), 'tue 21:00', now), '21:30');
	assert.equal(upkeep.moment(at(9 * 3600), 'tue 21:00', now), 'Wed 06:00');
	assert.equal(upkeep.moment(at(9 * 3600), 'sat 21:00', now), 'Sun 06:00');
	assert.equal(upkeep.moment(at(9 * 3600), 'sun 21:00', now), 'Mon 06:00');
});

test('more time is for the device that is meant', async () => {
	const rows = [
		{ device: 'tablet', mac: '02:00:5E:10:01:14', left_seconds: 0, spent: true }, { device: 'phone', mac: '', left_seconds: 600, left_bytes: 5e6 },
		{ device: 'laptop', left_seconds: null, left_bytes: 1 }
	];
	const { upkeep, dialogs, calls } = opened({ budgets: () => Promise.resolve({ budgets: rows }) });
	await upkeep.bonus('hour', row => row.device, () => null);
	assert.deepEqual(dialogs[0].node.all('li').map(node => node.textContent), [ 'tablet: used up+30 min', 'phone: 10 min left, 5 MB left+30 min' ]);
	for (const button of dialogs[0].node.all('button'))
		button.attributes.click();
	await settle();
	assert.deepEqual(calls, [ [ 'add', 'hour', '02:00:5E:10:01:14', 1800 ], [ 'add', 'hour', 'phone', 1800 ] ]);
});

test('a budget that all have together needs no question', async () => {
	const { upkeep, dialogs, calls } = opened({ budgets: () => Promise.resolve({ budgets: [ { shared: true, device: '', left_seconds: 60 } ] }) });
	let done = false;
	await upkeep.bonus('hour', () => '', () => { done = true; });
	assert.deepEqual([ calls, dialogs.length, done ], [ [ [ 'add', 'hour', undefined, 1800 ] ], 0, true ]);
});

test('a rule goes with what belongs to it, but for what somebody keeps', async () => {
	const removed = [], held = {
		kids: { '.type': 'action', '.name': 'kids', target: [ 'kids_limit' ], time_of_day: [ 'kids_hours' ] },
		kids_limit: { '.type': 'target', '.name': 'kids_limit' }, kids_hours: { '.type': 'time_of_day', '.name': 'kids_hours' }
	};
	const uci = {
		get: (config, name) => held[name] ?? null, sections: (config, type) => Object.values(held).filter(one => type == null || one['.type'] === type),
		remove: (config, name) => removed.push(name)
	};
	const { upkeep, dialogs } = opened({}, uci);
	upkeep.remove_rule('kids', () => removed.push('kids'));
	const [ limit, hours ] = dialogs[0].node.all('input');
	assert.deepEqual(dialogs[0].node.all('label').map(node => node.textContent), [ 'kids_limit (target)', 'kids_hours (hours)' ]);
	limit.checked = true;
	hours.checked = false;
	dialogs[0].buttons[0].attributes.click();
	await settle();
	assert.deepEqual(removed, [ 'kids_limit', 'kids' ]);
});
