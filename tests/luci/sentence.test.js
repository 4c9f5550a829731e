'use strict';

/* A rule as a sentence, names as people know them, and the target that does what was chosen. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const SECTIONS = {
	stop: { '.type': 'target', target_type: 'firewall', verdict: 'reject' },
	slow: { '.type': 'target', target_type: 'firewall', limit: '2mbit', per_device: '1' },
	calls: { '.type': 'target', target_type: 'firewall', set_dscp: 'EF' },
	updates: { '.type': 'target', target_type: 'firewall', set_dscp: 'CS1' },
	away: { '.type': 'target', target_type: 'firewall', route: 'wan2' },
	video: { '.type': 'target', target_type: 'nftset', set_name: 'video' },
	words: { '.type': 'target', target_type: 'log' },
	whole: { '.type': 'target', target_type: 'firewall', verdict: 'drop', scope: 'device' },
	off: { '.type': 'target', target_type: 'firewall', verdict: 'reject', target_enabled: '0' },
	evening: { '.type': 'time_of_day', day: [ 'mon', 'tue', 'wed', 'thu', 'fri' ], time_start: '21:00', time_end: '6:30' },
	hour: { '.type': 'budget', time: '1h30m', day: 'sat,sun 2h' },
	children: { '.type': 'group', title: 'The children' },
	bedtime_device_1: { '.type': 'device', mac: [ '02:00:5e:10:01:14' ] },
	quiet: { '.type': 'exemption' }
};
for (const [ name, section ] of Object.entries(SECTIONS))
	section['.name'] = name;
const HOSTS = { '02:00:5E:10:01:14': 'tablet', '192.168.1.21': 'laptop' };
const world = { get: name => SECTIONS[name] ?? null, hosts: HOSTS };
const sentence = load('nfa.sentence');
const doing = load('nfa.doing');
const readable = load('nfa.readable');
const say = action => {
	const { verb, what, code, rest, parts } = sentence.say(action, world);
	return [ [ verb, code || what, rest ].filter(text => text).join(' '), ...parts ].join(' / ');
};

test('a rule reads as a sentence', () => {
	assert.equal(say({
		criteria: [ "(app == 'netify.youtube' || app == 'netify.tiktok') && mac == 02:00:5E:10:01:14;" ], target: [ 'stop' ], time_of_day: [ 'evening' ], budget: 'hour',
		exemption: [ "app == 'netify.netflix';", '192.168.1.21' ]
	}), 'Block YouTube, TikTok / for tablet / Mon to Fri, 21:00 to 06:30 (next day) / after 1 h 30 min a day (sat,sun 2h) / except Netflix, laptop');
	const youtube = { criteria: [ "app == 'netify.youtube';" ] };
	assert.equal(say({ ...youtube, target: 'slow' }), 'Slow down YouTube to 2 Mbit/s, each device');
	assert.equal(say({ ...youtube, target: [ 'calls' ] }), 'Put first YouTube');
	assert.equal(say({ ...youtube, target: [ 'updates' ] }), 'Put last YouTube');
	assert.equal(say({ ...youtube, target: [ 'away' ] }), 'Send YouTube through wan2');
	assert.equal(say({ ...youtube, targets: [ 'video' ] }), 'Note YouTube in the set video');
	assert.equal(say({ ...youtube, target: [ 'words' ] }), 'Note YouTube in a log');
	assert.equal(say({ ...youtube, target: [ 'slow', 'calls' ] }), 'Slow down + Put first YouTube to 2 Mbit/s, each device');
});

test('a sentence says no more than the rule does', () => {
	assert.equal(say({ criteria: [ '*' ], target: [ 'whole' ] }), 'Block everything');
	assert.equal(say({ criteria: [ "category == 'games';" ], target: [ 'whole' ] }), 'Block Games / with everything else of the device');
	assert.equal(say({ criteria: [ '*' ], target: [ 'off' ] }), 'Block everything (target off is off)');
	assert.equal(say({ criteria: [ '*' ], target: [ 'gone' ] }), 'Reach the target gone with everything');
	assert.equal(say({ criteria: [ '*' ] }), 'Do nothing yet with everything');
	assert.equal(say({}), 'Do nothing yet with nothing chosen');
	assert.equal(say({ criteria: [ "detected_hostname == 'rx:img';" ], target: [ 'stop' ] }), "Block detected_hostname == 'rx:img';");
	assert.equal(say({ criteria: [ '*' ], target: [ 'stop' ], budget: 'gone', time_of_day: 'gone', exemption: [ 'quiet', '!app;' ] }),
		'Block everything / gone / after the budget gone / except the list quiet, !app;');
});

test('whose, and where to', () => {
	assert.equal(say({ criteria: [ "other_port == 443 && (local_ip == @children || local_ip == @bedtime_device_1);" ], target: [ 'stop' ] }),
		'Block everything / to port 443 / for The children, tablet');
	assert.equal(say({ criteria: [ [ 'a', 'b', 'c', 'd' ].map(name => `app == 'netify.${name}';`).join(' ') ], target: [ 'stop' ] }), 'Block A, B and 2 more');
});

test('names are those that people know', () => {
	for (const [ name, text ] of Object.entries({
		'netify.instagram': 'Instagram', 'netify.youtube': 'YouTube', 'netify.apple-icloud': 'Apple iCloud', 'netify.windows-update': 'Windows Update',
		'netify.4shared': '4shared', youtube: 'YouTube', 133: '133', 'netify.': 'Netify.', 'My App': 'My App', constructor: 'Constructor', '': ''
	}))
		assert.equal(readable.application(name), text, name);
	assert.equal(readable.category('streaming-media'), 'Streaming media');
	assert.equal(readable.category('voip'), 'VoIP');
	assert.equal(readable.category('os-software-updates'), 'OS software updates');
	assert.equal(readable.protocol('bittorrent'), 'BitTorrent');
	assert.equal(readable.protocol('http/s'), 'HTTP/S');
	assert.equal(readable.protocol('HTTP/S'), 'HTTP/S');
});

const there = [ ...Object.values(SECTIONS), { '.type': 'action', '.name': 'other', target: [ 'stop', 'slow' ] } ];
const plan = (choice, rule, held, all) => doing.plan(choice, rule, held, all ?? there);

test('what is chosen is written as a target, which rules that do the same share', () => {
	assert.deepEqual(plan({ kind: 'block' }, 'kids', []), { name: 'stop', options: null });
	assert.deepEqual(plan({ kind: 'block' }, 'kids', [], []), { name: 'block', options: { target_type: 'firewall', verdict: 'reject' } });
	assert.deepEqual(plan({ kind: 'first' }, 'kids', [], []), { name: 'first', options: { target_type: 'firewall', set_dscp: 'EF' } });
	assert.deepEqual(plan({ kind: 'last' }, 'kids', [], []), { name: 'last', options: { target_type: 'firewall', set_dscp: 'CS1' } });
	assert.deepEqual(plan({ kind: 'wan', network: 'wan.2' }, 'kids', [], []), { name: 'through_wan_2', options: { target_type: 'firewall', route: 'wan.2' } });
	assert.deepEqual(plan({ kind: 'note' }, 'kids', [], []), { name: 'note', options: { target_type: 'log' } });
	assert.equal(plan({ kind: 'block' }, 'kids', [], [ { '.type': 'action', '.name': 'block' } ]).name, 'block_2', 'a name that is in use is left alone');
});

test('a limit is its rule\'s own: two rules would share what may pass', () => {
	const limit = { kind: 'slow', rate: '2mbit', each: true };
	const written = { target_type: 'firewall', limit: '2mbit', per_device: '1' };
	assert.deepEqual(plan(limit, 'kids', []), { name: 'kids_limit', options: written });
	const own = [ { '.type': 'target', '.name': 'kids_limit', target_type: 'firewall', limit: '1mbit' } ];
	assert.deepEqual(plan(limit, 'kids', [ 'kids_limit' ], own), { name: 'kids_limit', options: written }, 'its own is changed');
	own.push({ '.type': 'action', '.name': 'other', targets: [ 'kids_limit' ] });
	assert.deepEqual(plan(limit, 'kids', [ 'kids_limit' ], own), { name: 'kids_limit_2', options: written }, 'another rule keeps what it has');
});

test('what a choice cannot say is a target of mine', () => {
	assert.deepEqual(doing.of_rule([ SECTIONS.slow ]), { kind: 'slow', rate: '2mbit', each: true });
	assert.deepEqual(doing.of_rule([ SECTIONS.away ]), { kind: 'wan', network: 'wan2' });
	for (const name of [ 'whole', 'off', 'video', 'evening' ])
		assert.equal(doing.of_rule([ SECTIONS[name] ]).kind, 'own', name);
	assert.equal(doing.of_rule([ SECTIONS.stop, SECTIONS.words ]).kind, 'own');
	assert.equal(doing.of_rule([]).kind, 'own');
	for (const choice of [ { kind: 'block' }, { kind: 'slow', rate: '1mbit', each: false }, { kind: 'first' }, { kind: 'last' }, { kind: 'wan', network: 'wan2' }, { kind: 'note' } ])
		assert.deepEqual(doing.of_target({ '.type': 'target', ...doing.wanted(choice) }), choice);
});

test('what belongs to a rule alone goes with it, and nothing else', () => {
	const held = {
		bedtime: { '.type': 'action', target: [ 'bedtime_stop', 'stop' ], time_of_day: [ 'bedtime_hours', 'evening' ], budget: 'hour', exemption: [ 'quiet', 'global', '!app;' ], criteria: [ 'local_ip == @bedtime_device_1;' ] },
		other: { '.type': 'action', targets: [ 'stop' ], time_of_day: 'evening', criteria: [ 'local_ip == @bedtime_device_2;' ] },
		bedtime_stop: { '.type': 'target' }, bedtime_hours: { '.type': 'time_of_day' }, global: { '.type': 'exemption' },
		bedtime_device_2: { '.type': 'device' }, ...SECTIONS
	};
	for (const [ name, section ] of Object.entries(held))
		section['.name'] = name;
	const uci = { get: (config, name) => held[name] ?? null, sections: (config, type) => Object.values(held).filter(one => type == null || one['.type'] === type) };
	const names = load('nfa.names', { uci });
	const belongs = () => names.belongings('bedtime').map(({ name }) => name);
	assert.deepEqual(belongs(), [ 'bedtime_stop', 'bedtime_hours', 'hour', 'quiet', 'bedtime_device_1' ]);
	held.free = { '.type': 'budget', '.name': 'free', exempt_time: [ 'bedtime_hours' ] };
	assert.ok(!belongs().includes('bedtime_hours'), 'a budget uses these hours');
});

test('a name that people type becomes one that UCI takes', () => {
	const names = load('nfa.names');
	assert.equal(names.identifier('Kids videos'), 'Kids_videos');
	assert.equal(names.identifier(" M\u00fcller's tablet! "), 'Muller_s_tablet');
	assert.equal(names.identifier('\u5b69\u5b50'), '');
	assert.equal(names.free('', [ 'rule' ]), 'rule_2');
	assert.equal(names.free('constructor', []), 'constructor_2');
});
