'use strict';

/* Windows of time whose times are none. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

test('a time that is none is shown as it is written', () => {
	const hours = load('nfa.hours');
	const broken = hours.read({ time_start: '9pm', time_end: '23:00' });
	assert.equal(hours.words(broken), 'every day, 9pm (not understood)');
	assert.ok(hours.week([ broken ]).flat().every(state => state === 0));
	assert.match(hours.words(hours.read({ time_start: '24:00', time_end: 'x' })), /24:00, x \(not understood\)/);
	assert.equal(hours.words(hours.read({ time_start: '21:00', time_end: '6:30' })), 'every day, 21:00 to 06:30 (next day)');
	assert.equal(hours.words(hours.read({})), 'every day, all day');
});
