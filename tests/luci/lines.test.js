'use strict';

/* Which lines of the system's log are the daemon's, and how grave they are. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const lines = load('nfa.lines');

const line = (priority, text) => `Sat Nov 21 15:07:35 2026 ${priority} nfa[2406]: ${text}`;

test('the level is what the daemon says, not what procd makes of it', () => {
	const levels = {
		'nfa: error: the configuration is not used': 'error', 'nfa: warning: set x is full': 'warning',
		'nfa: notice: version 0.1.0 started': 'notice', 'nfa: match: 192.168.1.7:56074 > 1.2.3.4:443': 'match',
		'nfa: error: config: netify-proc-flow-actions.a.criteria (line 4): unknown': 'error',
		'nfa: warning: config: a.json:2:1: odd: error: ': 'warning', 'nfa: notice: config: a.json:2:1: by the way': 'notice'
	};
	for (const [ text, level ] of Object.entries(levels))
		assert.equal(lines.parse(line('daemon.err', text)).level, level, text);
});

test('a line has its time and its text', () => {
	const parsed = lines.parse(line('daemon.info', 'nfa: notice: version 0.1.0 started'));
	assert.equal(parsed.time, 'Sat Nov 21 15:07:35 2026');
	assert.equal(parsed.text, 'version 0.1.0 started');
});

test('what Python or the init script says belongs to it', () => {
	assert.equal(lines.parse(line('daemon.err', 'Traceback (most recent call last):')).level, 'error');
	assert.equal(lines.parse('Sat Nov 21 15:07:35 2026 daemon.notice nfa: disabled by option enabled of section main').level, 'notice');
	assert.equal(lines.parse('Sat Nov 21 15:07:35 2026 daemon.info procd: Instance nfa::instance1 s in a crash loop').level, 'notice');
});

test('lines of others that only speak of it are not shown', () => {
	assert.equal(lines.parse('Sat Nov 21 15:07:35 2026 daemon.info dnsmasq[1]: query[A] nfa.example from 192.168.1.7'), null);
	assert.equal(lines.parse('Sat Nov 21 15:07:35 2026 authpriv.info dropbear[1]: Password auth succeeded for nfa'), null);
	assert.equal(lines.parse('rubbish nfa'), null);
});

test('lines are chosen by level and text', () => {
	const all = [ line('daemon.err', 'nfa: error: One'), line('daemon.err', 'nfa: warning: two'), line('daemon.info', 'nfa: notice: three') ];
	const texts = (level, search) => lines.chosen(all, level, search).map(item => item.text);
	assert.deepEqual(texts('error', ''), [ 'One' ]);
	assert.deepEqual(texts('warning', ''), [ 'One', 'two' ]);
	assert.deepEqual(texts('debug', ' ONE '), [ 'One' ]);
	assert.deepEqual(texts('debug', 'four'), []);
});
