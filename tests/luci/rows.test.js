'use strict';

/* Rows that are polled stay the same nodes; lists come page by page. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, E } = require('./loader.js');

const rows = load('nfa.rows');

function table() {
	const parent = E('table', {}, [ E('tr', {}, [ 'head' ]) ]);
	const fill = rows.keyed(parent, item => item.name, () => {
		const node = E('tr', {});
		return { node, update: item => rows.text(node, `${item.name}=${item.count}`) };
	});
	return { parent, fill };
}

const named = (...names) => names.map(name => ({ name, count: 1 }));

test('a row whose item stays is the same node', () => {
	const { parent, fill } = table();
	fill(named('a', 'b', 'c'));
	const [ , a, b, c ] = parent.children;
	fill([ { name: 'a', count: 2 }, { name: 'c', count: 1 } ]);
	assert.deepEqual(parent.children.map(node => node.textContent), [ 'head', 'a=2', 'c=1' ]);
	assert.ok(parent.children[1] === a && parent.children[2] === c && b.parentNode === null);
});

test('rows come in the order of the items', () => {
	const { parent, fill } = table();
	fill(named('a', 'b', 'c'));
	fill(named('c', 'x', 'a', 'b'));
	assert.deepEqual(parent.children.map(node => node.textContent), [ 'head', 'c=1', 'x=1', 'a=1', 'b=1' ]);
	fill([]);
	assert.equal(parent.children.length, 1);
});

test('a row that stays in its place is not touched', () => {
	const { parent, fill } = table();
	fill(named('a', 'b'));
	let moved = 0;
	parent.insertBefore = () => moved++;
	fill(named('a', 'b'));
	assert.equal(moved, 0);
});

test('a name that is twice there is one row', () => {
	const { parent, fill } = table();
	fill(named('a', 'a'));
	assert.equal(parent.children.length, 2);
});

test('a text that is the same is not written again', () => {
	const node = E('b', {}, [ 'x' ]);
	const before = node.firstChild;
	rows.text(node, 'x');
	assert.ok(node.firstChild === before);
	rows.text(node, '<b>');
	assert.equal(node.textContent, '<b>');
});

test('what was hidden is shown as it was', () => {
	const node = E('div', {});
	node.style.display = 'flex';
	rows.hide(node, true);
	rows.hide(node, true);
	assert.equal(node.style.display, 'none');
	rows.hide(node, false);
	assert.equal(node.style.display, 'flex');
});

function list(all) {
	const asked = [];
	const made = load('nfa.listing').create({
		label: 'Policies', name: 'actions', find: 'Search', id: 'search', empty: 'None yet.', page: 25,
		key: item => item.name, count: answer => answer.total, away: () => 'The daemon is away.',
		columns: [ { title: 'Name', text: item => item.name }, { title: 'State', text: () => ({ text: 'on', style: 'success', note: '<i>' }) } ],
		ask: (search, offset, limit) => {
			asked.push([ search, offset, limit ]);
			return Promise.resolve(all() && { actions: all().slice(offset, offset + limit), total: all().length, more: offset + limit < all().length });
		}
	});
	const [ back, on ] = made.node.all('button');
	const lines = () => made.node.all('tr').slice(1).filter(line => line.style.display !== 'none').map(line => line.children[0].textContent);
	return { made, asked, back, on, lines, state: () => made.node.all('p')[0].textContent };
}

const many = count => Array.from({ length: count }, (_, index) => ({ name: `p${index}` }));

test('a list of 200 is shown a page at a time', async () => {
	const { made, lines, on, back } = list(() => many(200));
	await made.refresh();
	assert.equal(lines().length, 25);
	assert.equal(back.disabled, true);
	await on.attributes.click();
	assert.equal(lines()[0], 'p25');
	assert.match(made.node.textContent, /26 to 50 of 200/);
});

test('a page that has vanished gives way to the first', async () => {
	let count = 60;
	const { made, lines, on } = list(() => many(count));
	await made.refresh();
	await on.attributes.click();
	await on.attributes.click();
	assert.equal(lines()[0], 'p50');
	count = 3;
	await made.refresh();
	assert.deepEqual(lines(), [ 'p0', 'p1', 'p2' ]);
});

test('without an answer the last one stays, and that is said', async () => {
	let all = many(2);
	const { made, lines, state } = list(() => all);
	await made.refresh();
	assert.equal(state(), '');
	all = null;
	await made.refresh();
	assert.deepEqual(lines(), [ 'p0', 'p1' ]);
	assert.equal(state(), 'The daemon is away.');
	all = many(1);
	await made.refresh();
	assert.equal(state(), '');
});

test('that there is none is said when it is known, not before', async () => {
	let all = null;
	const { made, lines } = list(() => all);
	await made.refresh();
	assert.deepEqual(lines(), []);
	all = [];
	await made.refresh();
	assert.deepEqual(lines(), [ 'None yet.' ]);
});

test('a cell may be a label with a line below it, and both are text', async () => {
	const { made } = list(() => many(1));
	await made.refresh();
	const cell = made.node.all('td').find(node => node.textContent === 'on<i>');
	assert.deepEqual(cell.all('bdi').map(node => node.getAttribute('class')), [ 'label success', null ]);
});
