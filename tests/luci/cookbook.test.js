'use strict';

/* Recipes: what they write. That the daemon and nft take it is tested in test_luci_recipes.py. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const cookbook = load('nfa.cookbook');
const recipes = Object.fromEntries(cookbook.recipes().map(recipe => [ recipe.name, recipe ]));
const BEDTIME = { apps: [ 'netify.youtube' ], devices: [ 'AA:BB:CC:00:11:22' ], days: [ 'sun', 'mon' ], from: '21:00', until: '6:30' };

test('a recipe says what is missing, and nothing of the rest', () => {
	assert.deepEqual(Object.keys(cookbook.problems(recipes.bedtime, { ...BEDTIME, until: '21:00:00' })), [ 'until' ]);
	assert.deepEqual(Object.keys(cookbook.problems(recipes.bedtime, { apps: [], devices: [], days: [], from: '25:00', until: '24:00' })),
		[ 'apps', 'devices', 'days', 'from' ]);
	assert.deepEqual(cookbook.problems(recipes.bedtime, BEDTIME), {});
	assert.deepEqual(Object.keys(cookbook.problems(recipes.calls, { apps: [], protocols: [], categories: [] })), [ 'apps' ]);
	assert.deepEqual(cookbook.problems(recipes.calls, { apps: [], protocols: [ 'sip' ], categories: [] }), {});
	assert.deepEqual(Object.keys(cookbook.problems(recipes.wan2, { apps: [ 'x' ], lan: 'br lan', device: '*', gateway: '1.2.3', mark: '200' })),
		[ 'lan', 'device', 'gateway', 'mark' ]);
});

test('what is written is a whole policy, and DNS is spared', () => {
	const made = cookbook.cook(recipes.bedtime, BEDTIME, [], []);
	assert.equal(cookbook.text(made), `# /etc/config/netify-proc-flow-actions
config exemption 'global'
	list exemption "protocol == 'dns';"

config time_of_day 'bedtime_hours'
	list day 'sun'
	list day 'mon'
	option time_start '21:00'
	option time_end '6:30'

config target 'bedtime_set'
	option target_type 'nftset'
	option set_name 'bedtime'
	option ttl '600'
	option managed '1'
	option cut '1'

config action 'bedtime'
	list criteria "app == 'netify.youtube' && mac == AA:BB:CC:00:11:22;"
	list target 'bedtime_set'
	list time_of_day 'bedtime_hours'`);
});

test('a second one takes other names, and DNS is exempt once', () => {
	const made = cookbook.cook(recipes.bedtime, BEDTIME, [ 'bedtime_set' ], [ "protocol=='dns'" ]);
	assert.equal(made.name, 'bedtime_2');
	assert.deepEqual(made.exempt, []);
	assert.match(made.script, /@bedtime_2\.v4 counter reject/);
});
