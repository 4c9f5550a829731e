'use strict';

/* Recipes: what they write. That the daemon and nft take it is tested in test_luci_recipes.py. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const cookbook = load('nfa.cookbook');
const recipes = Object.fromEntries(cookbook.recipes().map(recipe => [ recipe.name, recipe ]));
const BEDTIME = { apps: [ 'netify.youtube' ], devices: [ 'AA:BB:CC:00:11:22' ], days: [ 'sun', 'mon' ], from: '21:00', until: '6:30' };
const WAN2 = { apps: [ 'netify.netflix' ], network: 'wanb', fallback: '1' };

test('a recipe says what is missing, and nothing of the rest', () => {
	assert.deepEqual(Object.keys(cookbook.problems(recipes.bedtime, { ...BEDTIME, until: '21:00:00' })), [ 'until' ]);
	assert.deepEqual(Object.keys(cookbook.problems(recipes.bedtime, { apps: [], devices: [], days: [], from: '25:00', until: '24:00' })),
		[ 'apps', 'devices', 'days', 'from' ]);
	assert.deepEqual(cookbook.problems(recipes.bedtime, BEDTIME), {});
	assert.deepEqual(Object.keys(cookbook.problems(recipes.calls, { apps: [], protocols: [], categories: [] })), [ 'categories' ]);
	assert.deepEqual(Object.keys(cookbook.problems(recipes.slow, { apps: [], devices: [], categories: [], rate: '2mb', each: '1' })), [ 'apps', 'rate' ]);
	assert.deepEqual(cookbook.problems(recipes.slow, { apps: [], devices: [ '@tablets' ], categories: [], rate: '2mbit', each: '0' }), {});
	assert.deepEqual(cookbook.problems(recipes.calls, { apps: [], protocols: [ 'sip' ], categories: [] }), {});
	assert.deepEqual(cookbook.problems(recipes.wan2, WAN2), {});
	for (const network of [ '', 'wan 2', '$(x)', "'" ])
		assert.deepEqual(Object.keys(cookbook.problems(recipes.wan2, { ...WAN2, network })), [ 'network' ]);
});

test('what is written is a whole policy, and DNS is spared', () => {
	const made = cookbook.cook(recipes.bedtime, BEDTIME, [], []);
	assert.equal(cookbook.text(made), `# /etc/config/netify-proc-flow-actions
config exemption 'global'
	list exemption "protocol == 'dns';"

config device 'bedtime_device_1'
	list mac 'AA:BB:CC:00:11:22'

config time_of_day 'bedtime_hours'
	list day 'sun'
	list day 'mon'
	option time_start '21:00'
	option time_end '6:30'

config target 'bedtime_stop'
	option target_type 'firewall'
	option verdict 'reject'

config action 'bedtime'
	list criteria "app == 'netify.youtube' && local_ip == @bedtime_device_1;"
	list target 'bedtime_stop'
	list time_of_day 'bedtime_hours'`);
});

test('a second one takes other names, and DNS is exempt once', () => {
	const made = cookbook.cook(recipes.bedtime, BEDTIME, [ 'bedtime_stop' ], [ "protocol=='dns'" ]);
	assert.equal(made.name, 'bedtime_2');
	assert.deepEqual(made.exempt, []);
});

test('what becomes of packets is what the recipe says', () => {
	const target = (recipe, answers) => {
		const { target_type, ...options } = cookbook.cook(recipe, answers, [], []).sections.find(({ type }) => type === 'target').options;
		assert.equal(target_type, 'firewall');
		return options;
	};
	assert.deepEqual(target(recipes.bedtime, BEDTIME), { verdict: 'reject' });
	assert.deepEqual(target(recipes.offline, BEDTIME), { verdict: 'reject', scope: 'device' });
	assert.deepEqual(target(recipes.slow, { apps: [], devices: BEDTIME.devices, categories: [], rate: '2mbit', each: '1' }), { limit: '2mbit', per_device: '1' });
	assert.deepEqual(target(recipes.slow, { apps: [ 'x' ], devices: [], categories: [], rate: '1mbit', each: '0' }), { limit: '1mbit' });
	assert.deepEqual(target(recipes.calls, { apps: [], protocols: [], categories: [ 'voip' ] }), { set_dscp: 'EF' });
	assert.deepEqual(target(recipes.downloads, { apps: [], protocols: [ 'bittorrent' ], categories: [] }), { set_dscp: 'CS1' });
	assert.deepEqual(target(recipes.wan2, WAN2), { route: 'wanb' });
	assert.deepEqual(target(recipes.wan2, { ...WAN2, fallback: '0' }), { route: 'wanb', fallback: '0' });
});

test('a group is named, and nothing is made of it', () => {
	const made = cookbook.cook(recipes.offline, { ...BEDTIME, apps: [], devices: [ '@tablets', 'fd00::7' ] }, [], []);
	assert.match(cookbook.text(made), /list criteria '\(?local_ip == @tablets \|\| local_ip == @offline_device_2\)?;'/);
	assert.deepEqual(made.sections.filter(({ type }) => type === 'device').map(({ name }) => name), [ 'offline_device_2' ]);
});

test('a device that is there already is used by its name, and not made twice', () => {
	const known = [ { name: 'tablet', addresses: [ 'aa:bb:cc:00:11:22', '192.168.1.9' ] } ];
	const made = cookbook.cook(recipes.bedtime, { ...BEDTIME, devices: [ 'AA:BB:CC:00:11:22', '192.168.1.9', 'fd00::7' ] }, [], [], known);
	assert.deepEqual(made.sections.filter(({ type }) => type === 'device'), [ { type: 'device', name: 'bedtime_device_3', options: { ip: [ 'fd00::7' ] } } ]);
	assert.match(cookbook.text(made), /\(local_ip == @tablet \|\| local_ip == @bedtime_device_3\);/);
	const spared = cookbook.cook(recipes.weak_tls, { path: '/tmp/x', devices: [ 'AA:BB:CC:00:11:22' ] }, [], [], known);
	assert.match(cookbook.text(spared), /list exemption '@tablet'/);
});

test('the daemon is told of the targets that there are, with those of the recipe, to say what the network lacks', () => {
	const there = [
		{ '.type': 'target', '.name': 'line', '.anonymous': false, target_type: 'firewall', route: 'wanc', labels: [ 'a', "b'c" ] },
		{ '.type': 'target_default', '.name': 'firewall', fallback: '0' },
		{ '.type': 'sink', '.name': 'mqtt', password: 'secret' }
	];
	assert.equal(cookbook.targets(there, cookbook.cook(recipes.wan2, WAN2, [], [])), `config target 'line'
	option target_type 'firewall'
	option route 'wanc'
	list labels 'a'
	list labels "b'c"

config target_default 'firewall'
	option fallback '0'

config target 'wan2_line'
	option target_type 'firewall'
	option route 'wanb'
`);
});
