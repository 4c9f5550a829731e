'use strict';

/* What devices and applications are called, and what is left of a budget. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const called = load('nfa.called');
const words = load('nfa.words');

test('an application is called what people call it', () => {
	const names = { 'netify.youtube': 'YouTube', 'netify.instagram': 'Instagram', 'netify.amazon-prime': 'Amazon Prime', DNS: 'DNS', 'HTTP/S': 'HTTP/S', other: 'others', Unknown: 'not recognised', 'netify.': 'netify.' };
	for (const [ name, text ] of Object.entries(names))
		assert.equal(called.application(name), text);
});

test('a device has the title of the configuration, else its name, else that of the router, else its address', () => {
	const sections = [ { '.name': 'tablet', title: 'The tablet' }, { '.name': 'tv' } ], hosts = { '02:00:5E:10:01:15': 'laptop' };
	const name = (device, mac) => called.device({ device, mac }, sections, hosts);
	assert.equal(name('tablet', '02:00:5e:10:01:14'), 'The tablet');
	assert.equal(name('tv', ''), 'tv');
	assert.equal(name('02:00:5e:10:01:15', '02:00:5e:10:01:15'), 'laptop');
	assert.equal(name('02:00:5e:10:01:16', '02:00:5e:10:01:16'), '02:00:5e:10:01:16');
	assert.equal(name('router', ''), 'The router itself');
	assert.equal(name('router', '02:00:5e:10:01:17'), 'router', 'a device that calls itself so is not the router');
});

test('what is left of a budget is said with its bonus, and until when', () => {
	const row = { amount_seconds: 3600, bonus_seconds: 1800, left_seconds: 1500, amount_bytes: null, bonus_bytes: 0, left_bytes: null, spent: false, exempt: false, until: 1800000000 };
	const until = words.until(row.until);
	assert.equal(called.left(row), `25 min of 1 h 30 min left, until ${until}`);
	assert.equal(called.left({ ...row, left_seconds: 0, spent: true }), `used up, until ${until}`);
	assert.equal(called.left({ ...row, left_seconds: null, left_bytes: 5e8, amount_bytes: 1e9, bonus_bytes: 0 }), `500 MB of 1 GB left, until ${until}`);
	assert.equal(called.left({ ...row, left_seconds: null }), `no limit today, until ${until}`);
	assert.equal(called.left({ ...row, exempt: true }), '25 min of 1 h 30 min left, not counted now');
});

test('rates are in bits a second', () => {
	assert.equal(words.rate(0), '0 bit/s');
	assert.equal(words.rate(12.5), '100 bit/s');
	assert.equal(words.rate(125), '1 kbit/s');
	assert.equal(words.rate(156250), '1.3 Mbit/s');
	assert.equal(words.rate(1.25e8), `${(1000).toLocaleString()} Mbit/s`);
});

test('use with minutes names the first three', () => {
	const items = [ [ 'a', 54 ], [ 'b', 90 ], [ 'c', 0 ], [ 'd', 1 ] ].map(([ name, minutes ]) => ({ name, minutes }));
	assert.equal(called.minutes(items, item => item.name), 'a 54 min, b 1 h 30 min, c and 1 more');
	assert.equal(called.minutes(items.slice(2, 3), item => item.name), 'c');
});
