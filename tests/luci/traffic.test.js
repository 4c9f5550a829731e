'use strict';

/* What firewall targets do to packets, and what met them, in words. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const SECTIONS = {
	stop: { '.type': 'target', target_type: 'firewall', verdict: 'reject' },
	pause: { '.type': 'target', target_type: 'firewall', verdict: 'drop', scope: 'device' },
	slow: { '.type': 'target', target_type: 'firewall', limit: '2mbit', per_device: 'on' },
	first: { '.type': 'target', target_type: 'firewall', set_dscp: 'EF' },
	both: { '.type': 'target', target_type: 'firewall', set_dscp: 'EF', limit_up: '1mbit', set_mark: '1/1' },
	diary: { '.type': 'target', target_type: 'log' },
	bare: { '.type': 'target', target_type: 'firewall' },
	films: { '.type': 'action' }
};
const with_uci = more => load('nfa.traffic', { uci: { get: (config, name) => ({ ...SECTIONS, ...more })[name] ?? null } });
const met = { held: 2, packets: 1500, bytes: 1234567 };
const said = (names, counts, more) => {
	const traffic = with_uci(more);
	return traffic.lines({ ...met, ...counts }, traffic.of_targets(names)).join('; ');
};

test('an owner sees that packets are stopped, slowed down, marked', () => {
	assert.equal(said([ 'stop' ]), '2 connections held; 1,500 packets stopped, 1.2 MB');
	assert.equal(said([ 'stop' ], { held: 1, packets: 1, bytes: 60 }), '1 connection held; 1 packet stopped, 60 bytes');
	assert.equal(said([ 'stop', 'diary' ]), '2 connections held; 1,500 packets stopped, 1.2 MB');
	assert.equal(said([ 'slow' ]), '2 connections held; 1,500 packets met the limit, 1.2 MB');
	assert.equal(said([ 'first' ]), '2 connections held; 1,500 packets marked, 1.2 MB');
});

test('a device that is held is no connection', () => {
	assert.equal(said([ 'pause' ]), '2 elements held; 1,500 packets stopped, 1.2 MB');
	assert.equal(said([ 'pause', 'slow' ]), '2 elements held; 1,500 packets stopped, 1.2 MB');
});

test('of what is done by several targets, or is not known, nothing wrong is said', () => {
	assert.equal(said([ 'slow', 'first' ]), '2 connections held; 1,500 packets, 1.2 MB');
	assert.equal(said([ 'both' ]), '2 connections held; 1,500 packets, 1.2 MB');
	assert.equal(said([ 'of-a-json-file' ]), '2 elements held; 1,500 packets, 1.2 MB');
	assert.equal(said([ 'films' ]), '2 elements held; 1,500 packets, 1.2 MB', 'that is an action');
	assert.equal(said([ 'of-a-json-file', 'slow' ]), '2 elements held; 1,500 packets, 1.2 MB');
});

test('defaults of the type count where a target says nothing of its own', () => {
	const firewall = { '.type': 'target_default', verdict: 'reject', scope: 'device' };
	assert.equal(said([ 'bare' ], {}, { firewall }), '2 elements held; 1,500 packets stopped, 1.2 MB');
	assert.equal(said([ 'first' ], {}, { firewall }), '2 elements held; 1,500 packets marked, 1.2 MB');
	assert.equal(said([ 'bare' ], {}, { firewall: { ...firewall, '.type': 'action' } }), '2 connections held; 1,500 packets, 1.2 MB');
});

test('what a target does is said in its row', () => {
	const effects = name => with_uci().effects(SECTIONS[name]).join(', ');
	assert.equal(effects('stop'), 'reject');
	assert.equal(effects('pause'), 'drop, everything of the device');
	assert.equal(effects('slow'), 'at most 2mbit, for each device');
	assert.equal(effects('both'), 'uploads at most 1mbit, class EF, mark 1/1');
	assert.equal(effects('bare'), '');
});
