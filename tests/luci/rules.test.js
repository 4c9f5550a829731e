'use strict';

/* What the options of a target together must be. What is a value of each is compared with the daemon in test_luci_options.py. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const rules = load('nfa.rules');
const of = (values, inherited) => rules.check_firewall({ verdict: '', ctinfo: '63/128', ...values }, inherited ?? []);

test('a firewall target does something, and a block stands alone', () => {
	assert.match(of({}), /^Choose what becomes of the packets/);
	assert.equal(of({}, [ 'verdict' ]), '', 'the defaults do something');
	assert.equal(of({ verdict: 'reject' }), '');
	assert.equal(of({ limit: '2mbit', set_dscp: 'EF', set_mark: '0x100/0x100' }), '');
	assert.match(of({ verdict: 'drop', set_dscp: 'EF' }), /stands alone/);
	assert.equal(of({ route: 'wan2', scope: 'connection', hook: 'forward' }), '');
	assert.match(of({ route: 'wan2', limit: '2mbit' }), /later connections, and stands alone/);
	assert.match(of({ route: 'wan2', scope: 'device' }), /later connections, and stands alone/);
});

test('the mark and the class share no bit', () => {
	assert.match(of({ set_dscp: 'EF', set_mark: '0x10/0xf0' }), /overlap/);
	assert.match(of({ set_dscp: 'EF', set_mark: '0x80/0x80' }), /overlap/);
	assert.equal(of({ set_mark: '0x10/0xf0' }), '');
	assert.equal(of({ set_dscp: 'EF', set_mark: '0x10/0xf0', ctinfo: '0xfc000000/0x1000000' }), '');
	assert.match(of({ set_dscp: 'EF', set_mark: '0x80000000/0x80000000', ctinfo: '0xfc000000/0x1000000' }), /overlap/);
});
