'use strict';

/* Rates from counters, and the chart of them. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const rates = load('nfa.rates');
const chart = load('nfa.chart');

function history(samples) {
	const made = rates.history(300);
	for (const sample of samples)
		made.add(...sample);
	return made;
}

test('a rate is what came between two answers', () => {
	assert.deepEqual(history([ [ 10, 100, 50 ], [ 13, 130, 53 ] ]).points, [ { time: 13, rate: 10 } ]);
});

test('one answer alone is no rate', () => {
	assert.deepEqual(history([ [ 10, 100, 50 ] ]).points, []);
	assert.equal(history([ [ 10, 100, 50 ] ]).now(), null);
});

test('a daemon that has started again counts from zero, and nothing falls below it', () => {
	assert.deepEqual(history([ [ 10, 100, 50 ], [ 13, 6, 2 ] ]).points, [ { time: 13, rate: 2 } ]);
});

test('a daemon that has started again is known by its uptime, also when it has counted more', () => {
	assert.deepEqual(history([ [ 10, 3, 50 ], [ 13, 6, 2 ] ]).points, [ { time: 13, rate: 2 } ]);
});

test('no answer leaves one gap, and no rate over it', () => {
	const made = history([ [ 0, 0, 5 ], [ 3, 3, 8 ], [ 6, null ], [ 9, null ], [ 12, 1000, 17 ], [ 15, 1003, 20 ] ]);
	assert.deepEqual(made.points.map(point => point.rate), [ 1, null, 1 ]);
});

test('what is older than the span goes', () => {
	const made = rates.history(10);
	for (let time = 0; time < 100; time++)
		made.add(time, time, time);
	assert.ok(made.points.length <= 12);
	assert.equal(made.highest(), 1);
});

test('the scale ends at a round number that holds all', () => {
	assert.deepEqual([ 0, 0.3, 1, 1.1, 5, 24.9, 999 ].map(rates.top), [ 1, 0.5, 1, 2, 5, 50, 1000 ]);
});

test('a line is drawn for each stretch between gaps, within the frame', () => {
	const points = [ { time: 0, rate: 0 }, { time: 150, rate: 10 }, { time: 151, rate: null }, { time: 300, rate: 10 } ];
	assert.equal(chart.path(points, 300, 300, 10, false), 'M0.0,78.0L300.0,2.0M600.0,2.0');
	assert.equal(chart.path(points, 300, 300, 10, true).match(/Z/g).length, 2);
	assert.equal(chart.path([], 300, 300, 10, false), '');
});

test('the chart says whether there is an answer', () => {
	const made = history([ [ 0, null ] ]);
	const shown = chart.create(made, 300);
	shown.draw(0);
	assert.match(shown.node.textContent, /does not answer/);
	made.add(3, 5, 5);
	shown.draw(3);
	assert.match(shown.node.textContent, /first point/);
});

test('the chart says in words what it shows', () => {
	const made = history([ [ 0, 0, 5 ], [ 3, 6, 8 ] ]);
	const shown = chart.create(made, 300);
	shown.draw(3);
	assert.match(shown.node.textContent, /Now 2\.0 matches per second, at most 2\.0 in the last 5 minutes/);
	assert.match(shown.node.all('svg')[0].getAttribute('aria-label'), /2\.0/);
});
