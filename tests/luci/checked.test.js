'use strict';

/* Saving waits for the daemon's check, but not for ever. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

test('a check without an answer keeps nobody from saving for more than two seconds', async () => {
	const timers = [];
	const { Criteria } = load('nfa.checked', { globals: { window: { setTimeout: (work, time) => timers.push([ work, time ]) } } });
	let done = false;
	const settled = Criteria.prototype.settled.call({ check: { waiting: new Promise(() => null) } }).then(() => { done = true; });
	await new Promise(setImmediate);
	assert.equal(done, false);
	assert.ok(timers[0][1] <= 2000);
	timers[0][0]();
	await settled;
	await Criteria.prototype.settled.call({ check: { waiting: Promise.resolve() } });
});

test('what is wrong without asking is said at once', () => {
	const { Criteria } = load('nfa.checked');
	const early = (problem, nothing) => Criteria.prototype.early.call({ first_problem: () => problem, is_nothing: () => nothing });
	assert.equal(early('"youtu" is not added yet', false), '"youtu" is not added yet');
	assert.match(early('', true), /^Say what is meant/);
	assert.equal(early('', false), '');
});
