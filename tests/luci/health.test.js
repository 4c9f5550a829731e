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

/* What the daemon says of it (tests/daemon/bus/test_health.py has when it does). */
function problem(severity, code, of, changes) {
	return { severity, code, of, name: '', set: '', text: 'WORTE', ...changes };
}

const said = (item, changes) => found({ health: { state: item.severity, problems: [ item ], left_out: 0 }, ...changes })[0];

const found = (changes, kind) => health.problems(status(changes), NOW, kind ?? (() => null));

test('a daemon that is well has no problem', () => {
	assert.deepEqual(found({}), []);
});

test('what only the running daemon notices is said on the overview', () => {
	const texts = (code, changes) => found({ health: { problems: [ { severity: 'warning', code, of: 'flows', name: '', set: '', text: 'words' } ] }, ...changes })
		.map(item => item.text);
	assert.match(texts('source-silent', { source: { ...status().source, code: 'source-silent' } })[0], /command socket of netifyd 5/);
	assert.match(texts('flows-before', { flows: { dropped: 0, max: 5, before: 7 } })[0], /^7 live connections began before nfa/);
});

test('a set that no rule uses is told with what needs no rule, and with the rule to paste', () => {
	const item = problem('warning', 'set-unused', 'set', { name: 'stop', set: 'stop.v6' });
	const rules = [ [ 'stop', 'stop.v4' ], [ 'stop', 'stop.v6' ], [ 'other', 'stop.v6' ] ].map(([ target, set ]) => (
		{ ...finding('warning', 'words'), code: 'set-unused', target, set, rule: `nft ${target} ${set}` }));
	const { severity, text, page } = said(item, { findings: rules });
	assert.deepEqual([ severity, page ], [ 'warning', 'targets' ]);
	assert.match(text, /^No rule of the firewall uses the set stop.v6 of target stop: nothing happens to its flows\. A target of type firewall needs no rule\. .*: nft stop stop.v6$/);
	assert.match(said(item, {}).text, /nothing happens to its flows\. A target of type firewall needs no rule\.$/);
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
	const item = said(problem('critical', 'source-missing', 'source'), { source });
	assert.deepEqual([ item.severity, item.page ], [ 'error', 'log' ]);
	assert.match(item.text, /not connected.* netifyd is not running/);
});

test('a report leads to the page where it is mended', () => {
	const uci = (section, text) => ({ package: 'netify-proc-flow-actions', section, text });
	const kind = name => ({ games: 'action' })[name];
	const item = health.report(finding('error', "unknown attribute 'ap'", {
		consequence: 'the action is left out', code: 'unknown-attribute',
		place: uci('games', 'netify-proc-flow-actions.games.criteria (line 6)')
	}), kind);
	assert.deepEqual(item, {
		severity: 'error', code: 'unknown-attribute', place: 'netify-proc-flow-actions.games.criteria (line 6)',
		text: "Unknown attribute 'ap'. The action is left out.", page: 'policies', section: 'games'
	});
	assert.equal(health.report(finding('warning', 'x', { place: uci('cfg02abcd', 'x') }), kind).page, 'targets');
	assert.equal(health.report(finding('error', 'x', { place: { package: '', section: '', text: 'a.json:4:6' } }), kind).page, '');
	assert.equal(health.report(finding('error', 'x', { place: { ...uci('defaults', 'x'), package: 'firewall' } }), kind).page, '');
	assert.equal(health.report(finding('error', 'x'), kind).place, '');
});

test('what a page does itself is said in the place of the command for it', () => {
	const found = { severity: 'warning', code: 'route-not-applied', message: 'no rule sends it', hint: 'run: nfa route apply', consequence: '', place: null };
	assert.equal(health.report(found, () => null).text, 'No rule sends it. The button shows what is missing, and writes it.');
	assert.match(health.report({ ...found, code: 'x' }, () => null).text, /Run: nfa route apply/);
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
	const item = said(problem('critical', 'set-full', 'set', { name: 'video', set: 'v4' }));
	assert.match(item.text, /The set v4 of target video is full/);
	assert.deepEqual([ item.page, item.severity ], [ 'sets', 'error' ]);
});

test('each trouble of a set is told by its code, in whatever words the daemon has it', () => {
	const of_set = code => said(problem('critical', code, 'set', { name: 'video', set: 'v4' }));
	assert.match(of_set('set-missing').text, /v4 of target video does not exist/);
	assert.equal(of_set('set-missing').page, 'targets');
	assert.match(of_set('set-other-type').text, /another type/);
	assert.match(of_set('no-permission').text, /CAP_NET_ADMIN/);
	assert.match(of_set('kernel-refused').text, /cannot be used: WORTE/);
	assert.match(of_set('a-code-of-a-later-release').text, /cannot be used: WORTE/);
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

test('a target is told by what is wrong with it', () => {
	const of_target = (severity, code, changes) => said(problem(severity, code, 'target', { name: 'a' }), { targets: { a: target(changes) } });
	assert.match(of_target('critical', 'target-unusable', { active: false, reason: 'no set of it can be used' }).text, /not in use: no set/);
	assert.match(of_target('critical', 'sink-failed', { trouble: 'refused' }).text, /not working: refused/);
	const item = of_target('warning', 'target-failed', { errors: 3, last_error: 'x', last_error_at: NOW - 10 });
	assert.match(item.text, /had an error .*: x/);
	assert.deepEqual([ item.severity, item.page ], [ 'warning', 'targets' ]);
});

test('a target whose policy is off has nothing wrong', () => {
	const { text, style, note } = health.target(target({ type: 'firewall', active: false, reason: 'WORTE', code: 'target-idle' }));
	assert.deepEqual([ text, style, note ], [ 'not in use', 'notice', 'no policy that is on uses it' ]);
});

test('what was so since the start is told, and what is new in a later release, too', () => {
	const source = { ...status().source, bad: { json: 2, types: 1, resync_bytes: 99 }, lag: 61 };
	assert.match(said(problem('info', 'records-bad', 'source'), { source }).text, /^3 records/);
	assert.equal(said(problem('info', 'records-bad', 'source'), { source }).severity, 'warning');
	assert.match(said(problem('warning', 'source-late', 'source'), { source }).text, /after the traffic/);
	assert.match(said(problem('warning', 'source-silent', 'source')).text, /no flow/);
	assert.match(said(problem('info', 'flows-evicted', 'flows'), { flows: { dropped: 3, max: 9 } }).text, /max_flows/);
	assert.match(said(problem('warning', 'loop-slow', 'loop')).text, /busy for 5 ms/);
	assert.match(said(problem('warning', 'fault', 'faults'), { faults: { count: 2, last: 'x' } }).text, /2 faults.* x/);
	assert.equal(said(problem('warning', 'new', 'new')).text, 'WORTE');
	assert.deepEqual(found({ health: { problems: [ problem('critical', 'policy-errors', 'policy') ] } }), [], 'its findings say it');
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

test('what no page can mend has no button that leads to another thing', () => {
	const place = { package: 'netify-proc-flow-actions', section: 'tablet', text: 'x' };
	for (const [ type, page ] of [ [ 'device', '' ], [ 'group', '' ], [ 'budget', 'policies' ], [ 'sink', 'targets' ] ]) {
		const item = health.report(finding('warning', 'x', { place }), () => type);
		assert.deepEqual([ item.page, item.section ], [ page, '' ]);
	}
});
