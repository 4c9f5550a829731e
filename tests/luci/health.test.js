'use strict';

/* What a status means, in words. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const health = load('nfa.health');

const NOW = 1000000;

function status(changes) {
	return {
		uptime: 500, time: NOW,
		source: { connected: true, agent_version: '4.4.7', kinds: { flow: 5 }, bad: {}, lag: 1, last_error: '' },
		policy: { generation: 1, failed_at: null, errors: 0, warnings: 0, reports: [] },
		flows: { dropped: 0, max: 65536 }, loop: { longest_ms: 5 }, actions: {}, targets: {}, ...changes
	};
}

function target(changes) {
	return { enabled: true, active: true, reason: '', sets: [], trouble: '', over: false, errors: 0, last_error: '', last_error_at: null, ...changes };
}

function finding(severity, message, changes) {
	return { severity, code: 'bad-value', message, hint: '', consequence: '', place: null, excerpt: '', ...changes };
}

const found = (changes, kind) => health.problems(status(changes), NOW, kind ?? (() => null));

test('a daemon that is well has no problem', () => {
	assert.deepEqual(found({}), []);
});

test('what only the running daemon notices is said on the overview', () => {
	const texts = changes => found(changes).map(item => item.text);
	const silent = { ...status().source, code: 'source-silent' };
	assert.match(texts({ source: silent })[0], /command socket of netifyd 5/);
	assert.match(texts({ flows: { dropped: 0, max: 5, before: 7 } })[0], /^7 live connections began before nfa/);
	const kids = { code: 'never-seen', severity: 'warning', message: "action 'kids': no flow record came from interface 'kids0'", hint: 'h', consequence: '' };
	assert.deepEqual(texts({ findings: [ kids, { ...kids, code: 'flows-before' } ] }), [ kids.message + '. h' ]);
});

test('each state of the service is another one, and says what to do', () => {
	const none = { known: false, running: false }, up = { known: true, running: true }, ended = { known: true, running: false };
	assert.equal(health.state(status(), none, true).key, 'running');
	assert.equal(health.state(null, up, true).key, 'starting');
	assert.equal(health.state(null, none, true).key, 'stopped');
	assert.equal(health.state(null, ended, true).key, 'failed');
	assert.equal(health.state(null, none, false).key, 'off');
	for (const [ service, allowed ] of [ [ up, true ], [ none, true ], [ ended, true ], [ none, false ] ])
		assert.notEqual(health.state(null, service, allowed).advice, '');
});

test('no is what the init script takes for no', () => {
	for (const text of [ '0', 'no', 'off', 'false', 'disabled', 'OFF', ' No ' ])
		assert.equal(health.allowed(text), false, text);
	for (const text of [ null, undefined, '1', 'yes', 'on', 'true', 'enabled', 'what' ])
		assert.equal(health.allowed(text), true, String(text));
});

test('a daemon that ends again and again can be stopped', () => {
	const none = { known: false, running: false }, up = { known: true, running: true }, ended = { known: true, running: false };
	assert.deepEqual(health.possible(null, ended, true), { start: true, stop: true, restart: true, reload: false });
	assert.deepEqual(health.possible(null, none, true), { start: true, stop: false, restart: false, reload: false });
	assert.deepEqual(health.possible(null, none, false), { start: false, stop: false, restart: false, reload: false });
	assert.deepEqual(health.possible(null, up, true), { start: false, stop: true, restart: true, reload: false });
	assert.deepEqual(health.possible(status(), up, true), { start: false, stop: true, restart: true, reload: true });
});

test('errors that the daemon has no room for are told', () => {
	const reports = Array.from({ length: 50 }, (none, index) => finding(index % 2 ? 'info' : 'error', `e${index}`));
	const texts = changes => found({ policy: { ...status().policy, reports, ...changes } }).map(item => item.text);
	assert.match(texts({ errors: 32 }).at(-1), /more errors and warnings are not listed/);
	assert.equal(texts({ errors: 25 }).length, 25);
	assert.equal(texts({ errors: 25, failed_at: NOW }).length, 26);
	assert.match(texts({ errors: 25, warnings: 1 }).at(-1), /^1 more error or warning is/);
});

test('an agent that is not there is a problem with advice', () => {
	const source = { ...status().source, connected: false, code: 'source-missing', last_error: 'No such file or directory' };
	assert.match(health.agent(source).advice, /netifyd is not running/);
	assert.match(found({ source })[0].text, /not connected/);
	assert.deepEqual(found({ source, uptime: 2 }), []);
});

test('a report leads to the page where it is mended', () => {
	const uci = (section, text) => ({ package: 'netify-proc-flow-actions', section, text });
	const kind = name => ({ games: 'action' })[name];
	const item = health.report(finding('error', "unknown attribute 'ap'", {
		consequence: 'the action is left out', excerpt: '  ap == 1;\n  ^', code: 'unknown-attribute',
		place: uci('games', 'netify-proc-flow-actions.games.criteria (line 6)')
	}), kind);
	assert.deepEqual(item, {
		severity: 'error', code: 'unknown-attribute', place: 'netify-proc-flow-actions.games.criteria (line 6)',
		text: "Unknown attribute 'ap'. The action is left out.", excerpt: '  ap == 1;\n  ^', page: 'policies'
	});
	assert.equal(health.report(finding('warning', 'x', { place: uci('cfg02abcd', 'x') }), kind).page, 'targets');
	assert.equal(health.report(finding('error', 'x', { place: { package: '', section: '', text: 'a.json:4:6' } }), kind).page, '');
	assert.equal(health.report(finding('error', 'x', { place: { ...uci('defaults', 'x'), package: 'firewall' } }), kind).page, '');
	assert.equal(health.report(finding('error', 'x'), kind).place, '');
});

test('what a finding says decides nothing: it may speak any language, or of errors and places itself', () => {
	const policy = { ...status().policy, errors: 0, warnings: 1, reports: [ finding('warning', 'a.json:1:1: error: netify-proc-flow-actions.x') ] };
	const [ item ] = found({ policy });
	assert.deepEqual([ item.severity, item.place, item.page ], [ 'warning', '', '' ]);
});

test('a configuration that could not be used comes before its errors', () => {
	const policy = { generation: 3, failed_at: NOW, errors: 1, warnings: 0, reports: [ finding('error', 'the file ends here') ] };
	const texts = found({ policy }).map(item => item.text);
	assert.match(texts[0], /The previous one stays active/);
	assert.equal(texts[1], 'The file ends here.');
	assert.match(found({ policy: { ...policy, generation: 0 } })[0].text, /no policy is active/);
});

test('errors stand before warnings, and notes are left out', () => {
	const reports = [ finding('warning', 'w'), finding('info', 'i'), finding('error', 'e') ];
	assert.deepEqual(found({ policy: { ...status().policy, errors: 1, warnings: 1, reports } }).map(item => item.text), [ 'E.', 'W.' ]);
});

test('a full set is said with what to do, and leads to its contents', () => {
	const sets = [ { name: 'v4', trouble: 'ist voll', code: 'set-full' }, { name: 'v6', trouble: '', code: '' } ];
	const targets = { video: target({ sets, trouble: 'ist voll', code: 'set-full' }) };
	const [ item, ...more ] = found({ targets });
	assert.match(item.text, /The set v4 of target video is full/);
	assert.equal(item.page, 'sets');
	assert.deepEqual(more, []);
});

test('each trouble of a set is told by its code, in whatever words the daemon has it', () => {
	const said = code => found({ targets: { video: target({ sets: [ { name: 'v4', trouble: 'WORTE', code } ], trouble: 'WORTE', code }) } })[0];
	assert.match(said('set-missing').text, /v4 of target video does not exist/);
	assert.equal(said('set-missing').page, 'targets');
	assert.match(said('set-other-type').text, /another type/);
	assert.match(said('no-permission').text, /CAP_NET_ADMIN/);
	assert.match(said('kernel-refused').text, /cannot be used: WORTE/);
	assert.match(said('a-code-of-a-later-release').text, /cannot be used: WORTE/);
});

test('what to do about netifyd is told by the code, in whatever words the error is', () => {
	const advice = code => health.agent({ connected: false, last_error: 'WORTE', code }).advice;
	assert.match(advice('source-refused'), /netifyd is not running/);
	assert.match(advice('source-forbidden'), /not allowed to open/);
	assert.match(advice('source-unresolved'), /cannot be reached/);
	assert.match(advice('source-unreachable'), /cannot be reached/);
	assert.match(advice('source-closed'), /keeps trying/);
	assert.match(health.agent({ connected: false, last_error: 'No such file or directory', code: '' }).advice, /keeps trying/);
});

test('a target that is off is no problem, one that is not in use is', () => {
	assert.deepEqual(found({ targets: { a: target({ enabled: false, active: false, reason: 'the target is disabled' }) } }), []);
	assert.match(found({ targets: { a: target({ active: false, reason: 'no set of it can be used' }) } })[0].text, /not in use/);
});

test('an error that is over, or long ago, is none any more', () => {
	const failed = { errors: 3, last_error: 'x', last_error_at: NOW - 10 };
	assert.equal(found({ targets: { a: target(failed) } }).length, 1);
	assert.deepEqual(found({ targets: { a: target({ ...failed, over: true }) } }), []);
	assert.deepEqual(found({ targets: { a: target({ ...failed, last_error_at: NOW - 7200 }) } }), []);
});

test('a connected agent without flows is told, but not at once', () => {
	const source = { ...status().source, kinds: { agent: 3 } };
	assert.match(found({ source })[0].text, /no flow/);
	assert.deepEqual(found({ source, uptime: 30 }), []);
});

test('the state of an action is a word', () => {
	const action = { enabled: true, active: true, reason: '', in_hours: null, hours: '', until: '' };
	const text = changes => Object.values(health.action({ ...action, ...changes })).filter(value => value).join(' ');
	assert.equal(text({}), 'on success');
	assert.equal(text({ enabled: false, active: false, reason: 'disabled' }), 'off');
	assert.match(text({ active: false, reason: 'WORTE', code: 'action-broken' }), /not in use .* it has an error/);
	assert.match(text({ active: false, reason: 'WORTE', code: 'regex-too-large' }), /not in use .* WORTE/);
	assert.match(text({ active: false, reason: "held back by 'allow', which has an error", code: 'action-held-back' }),
		/not in use .* held back: allow comes before it and has an error/);
	assert.match(text({ active: false, reason: 'WORTE', code: 'exemptions-broken' }), /not in use .* held back: the exemptions/);
	assert.match(text({ last_good: true }), /on warning it has an error: its last good version stays in use/);
	assert.match(text({ last_good: true, in_hours: false, until: 'sat 22:00' }), /outside its schedule warning .* last good/);
	assert.match(text({ in_hours: false, until: 'sat 22:00' }), /outside its schedule .* starts Saturday 22:00/);
	assert.match(text({ in_hours: true, until: 'sun 06:00' }), /on .* until Sunday 06:00/);
	assert.match(text({ in_hours: false, hours: 'never' }), /never/);
});

test('a target that an error keeps out of the policy is told from one that is not applied yet', () => {
	const wrong = (severity, section, package_ = 'netify-proc-flow-actions') => ({ severity, place: { package: package_, section } });
	assert.equal(health.left_out({ reports: [ { severity: 'error' }, wrong('error', 'a') ] }, 'a'), true);
	assert.equal(health.left_out({ reports: [ wrong('warning', 'a'), wrong('error', 'b'), wrong('error', 'a', 'other') ] }, 'a'), false);
	assert.equal(health.left_out(undefined, 'a'), false);
});

test('the state of a target is a word', () => {
	const text = changes => health.target({ ...target({}), type: 'nftset', ...changes }).text;
	assert.equal(text({}), 'works');
	assert.match(health.target({ ...target({}), type: 'nftset', last_good: true }).note, /last good version/);
	assert.equal(text({ enabled: false }), 'off');
	assert.equal(text({ active: false }), 'not in use');
	assert.equal(text({ trouble: 'is full' }), 'trouble');
	assert.equal(text({ type: 'sink', readers: 0 }), 'no reader');
});

test('the first word says what keeps a daemon that runs from its work', () => {
	const said = changes => health.state({ uptime: 60, source: { connected: true }, policy: { generation: 1, failed_at: null, errors: 0 }, ...changes }, {}, true).text;
	assert.equal(said({}), 'Running');
	assert.equal(said({ source: { connected: false } }), 'Running, but netifyd is not connected');
	assert.equal(said({ source: { connected: false }, uptime: 2 }), 'Running');
	assert.equal(said({ policy: { generation: 1, failed_at: 5, errors: 1 } }), 'Running, but the last configuration could not be used');
	assert.equal(said({ policy: { generation: 0, failed_at: 5, errors: 1 } }), 'Running, but no policy is active');
	assert.equal(said({ policy: { generation: 1, failed_at: null, errors: 1 } }), 'Running, but the configuration has errors');
});
