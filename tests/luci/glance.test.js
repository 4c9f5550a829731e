'use strict';

/* The sentence of the page Home, its one button, and the way to what is wrong. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const glance = load('nfa.glance');
const troubles = load('nfa.troubles');

const NONE = { known: false, running: false }, UP = { known: true, running: true }, ENDED = { known: true, running: false };
const ON = { enabled: true, active: true };
const status = changes => ({ uptime: 500, source: { connected: true }, actions: { games: ON }, actions_left_out: 0, paused: [], ...changes });
const said = (state, service, may_run, problems) => glance.sentence(state, service ?? UP, may_run ?? true, problems ?? []);

test('the sentence tells on from off, and has a button where something is to be done', () => {
	assert.deepEqual(said(status()), { key: 'works', text: 'On, and it works: 1 rule is in use.', act: '' });
	for (const [ service, may_run, key, act ] of [ [ NONE, false, 'off', '' ], [ NONE, true, 'stopped', 'start' ], [ UP, true, 'starting', 'restart' ], [ ENDED, true, 'failed', 'log' ] ]) {
		const found = said(null, service, may_run);
		assert.deepEqual([ found.key, found.act ], [ key, act ]);
		assert.doesNotMatch(found.text, /^On/);
	}
});

test('it is not said to work where something keeps it from that', () => {
	const error = { severity: 'error' }, warning = { severity: 'warning' };
	assert.equal(said(status({ source: { connected: false } })).key, 'deaf');
	assert.equal(said(status({ source: { connected: false }, uptime: 2 })).key, 'works', 'netifyd is given a moment');
	assert.match(said(status(), UP, true, [ error, error, warning ]).text, /^On, but 2 things do not work\.$/);
	assert.match(said(status(), UP, true, [ warning ]).text, /^On, and it works: 1 rule is in use\. 1 thing to look at\.$/);
	assert.equal(said(status({ actions: { a: { enabled: false, active: false } } })).key, 'idle');
	const paused = said(status({ paused: [ { name: 'games', until: 9 }, { name: 'all', until: 1800000000 } ] }));
	assert.deepEqual([ paused.key, paused.act ], [ 'paused', 'resume' ]);
	assert.equal(said(status({ paused: [ { name: 'games', until: 9 } ] })).key, 'works');
});

test('a rule that is on in a list that was cut short is one that is on', () => {
	assert.equal(glance.is_idle(status({ actions: {}, actions_left_out: 3 })), false);
	assert.equal(glance.is_idle(status({ actions: {} })), true);
	assert.equal(glance.is_idle(null), false);
});

test('a problem opens the very thing', () => {
	const base = '/cgi-bin/luci/admin/services/nfa';
	assert.deepEqual(troubles.place_of({ page: 'policies', section: 'games' }), { text: 'Open the rule games', href: `${base}/policies#edit=games` });
	assert.deepEqual(troubles.place_of({ page: 'targets', section: 'stop' }), { text: 'Open the target stop', href: `${base}/targets#edit=stop` });
	assert.deepEqual(troubles.place_of({ page: 'sets', section: 'stop' }), { text: 'Open the sets', href: `${base}/sets` });
	assert.deepEqual(troubles.place_of({ page: 'policies', section: '' }), { text: 'Open the rules', href: `${base}/policies` });
	assert.equal(troubles.place_of({ page: '', section: '' }), null);
});

test('problems have a button each; of many, the first few and one for all', () => {
	const list = troubles.list();
	const problems = Array.from({ length: 8 }, (none, number) => ({ severity: 'warning', code: 'x', place: '', text: `text ${number}`, page: 'log', section: '' }));
	list.show(problems);
	const links = () => list.node.all('a').length;
	assert.equal(links(), 5);
	const [ more ] = list.node.all('button');
	assert.equal(more.textContent, 'and 3 more');
	more.attributes.click();
	assert.equal(links(), 8);
	list.show([ { ...problems[0], severity: 'error' }, problems[1] ]);
	assert.deepEqual(list.node.all('span').filter(one => one.classes.includes('label')).map(one => [ one.getAttribute('class'), one.textContent ]),
		[ [ 'label nfa-error', 'Error' ], [ 'label warning', 'Warning' ] ], 'an error does not look like a warning');
	list.show([]);
	assert.equal(links(), 0);
	assert.equal(more.style.display, 'none');
});
