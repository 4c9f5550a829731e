'use strict';
'require baseclass';
'require nfa.words as words';

/*
 * What the daemon's status (docs/status.md) means to an owner of a router: what state it is in, what is wrong, and on which
 * page that is mended. In: plain data, as api.js gives it. Out: plain data with texts; no page is touched here.
 */

const CONFIG = 'netify-proc-flow-actions';
/* The page on which a section is mended, by its type; targets and what belongs to them on theirs, devices and groups on none yet. */
const PAGES = { action: 'policies', exemption: 'policies', time_of_day: 'policies', budget: 'policies', nfa: 'policies', device: '', group: '' };

const NO = [ '0', 'no', 'off', 'false', 'disabled' ];

/* Whether the configuration lets the service run, by the option enabled of its section; read as the init script does. */
function allowed(enabled) {
	return !NO.includes(String(enabled ?? '').trim().toLowerCase());
}

/* In a line that it runs, and the first thing that keeps it from its work. */
function running(status) {
	const { source, policy } = status;
	if (source?.connected === false && status.uptime >= 5)
		return _('Running, but netifyd is not connected');
	if (policy?.failed_at != null)
		return policy.generation ? _('Running, but the last configuration could not be used') : _('Running, but no policy is active');
	return policy?.errors > 0 ? _('Running, but the configuration has errors') : _('Running');
}

/*
 * The service: { key, text, advice }. `status`: null without an answer; `service`: what procd knows; `may_run`: whether the
 * configuration lets it.
 */
function state(status, service, may_run) {
	if (status != null)
		return { key: 'running', text: running(status), advice: '' };
	if (service.running)
		return { key: 'starting', text: _('Starting, or not answering'), advice: _('It was started, but does not answer yet. If this takes more than a minute, press Restart and check the log.') };
	if (!may_run)
		return { key: 'off', text: _('Switched off'), advice: _('The configuration does not let it run. Press Switch on.') };
	if (service.known)
		return { key: 'failed', text: _('Exited unexpectedly'), advice: _('It restarts automatically after some seconds. The log says why it exited.') };
	return { key: 'stopped', text: _('Stopped'), advice: _('No flow is evaluated. Nothing is blocked, marked or prioritised. Press Start.') };
}

/* What can be done to the service. One that ends by itself is started again and again: that can be stopped. */
function possible(status, service, may_run) {
	const running = status != null || service.running;
	return { start: !running && may_run, stop: running || service.known, restart: running || service.known, reload: status != null };
}

const NO_AGENT = _('netifyd is not running, or its socket is elsewhere. Start it under System > Startup; the daemon then connects automatically.');
const NO_HOST = _('The other machine cannot be reached. Check the address in the option source, and whether that machine is running.');

/* What to do when netifyd is not connected, by the code of the source. */
const SOURCE_ADVICE = {
	'source-missing': NO_AGENT,
	'source-refused': NO_AGENT,
	'source-forbidden': _('The daemon is not allowed to open the socket of netifyd. Check the log.'),
	'source-unresolved': NO_HOST,
	'source-unreachable': NO_HOST
};

/* The agent: { ok, text, advice }. */
function agent(source) {
	if (source.connected)
		return { ok: true, text: source.agent_version ? _('Connected, version %s').format(source.agent_version) : _('Connected'), advice: '' };
	return {
		ok: false,
		text: source.last_error ? _('Not connected: %s').format(source.last_error) : _('Not connected yet'),
		advice: SOURCE_ADVICE[source.code] ?? _('The daemon keeps trying.')
	};
}

/* What a page can do about a finding, in the place of the daemon's hint, by its code. */
const DONE_HERE = { 'route-not-applied': _('The button shows what is missing, and writes it.') };

/*
 * A finding of the configuration (docs/bus.md): { severity, code, place, text, page }. `kind` gives the type of a UCI
 * section by its name. A page of "" is one that no page can mend: a JSON file.
 */
function report(found, kind) {
	const section = found.place?.package === CONFIG ? found.place.section : '';
	return {
		severity: found.severity,
		code: found.code,
		place: found.place?.text ?? '',
		text: [ found.message, DONE_HERE[found.code] ?? found.hint, found.consequence ].filter(text => text).map(words.sentence).join(' '),
		page: section ? (PAGES[kind(section)] ?? 'targets') : '',
		section: [ 'action', 'target' ].includes(kind(section)) ? section : ''
	};
}

function of_policy(policy, kind) {
	const found = (policy.reports ?? []).map(item => report(item, kind)).filter(item => item.severity != 'info');
	const left = (policy.errors ?? 0) + (policy.warnings ?? 0) - found.length;
	if (policy.failed_at != null)
		found.unshift({
			severity: 'error', place: '',
			// A file that cannot be read is opened by no page either.
			page: found.some(item => item.severity === 'error' && !item.page) ? '' : 'policies',
			text: policy.generation
				? _('The last configuration could not be used. The previous one stays active. The errors are listed below.')
				: _('The configuration cannot be used: no policy is active. The errors are listed below.')
		});
	if (left > 0)
		found.push({
			severity: 'warning', place: '', page: 'log', text: N_(left,
				'%d more error or warning is not listed. The command nfa check shows all.',
				'%d more errors and warnings are not listed. The command nfa check shows all.').format(left)
		});
	return found;
}

/* What is wrong with a set and what to do, by its code. Of others the daemon's words are shown. */
const SET_TROUBLES = {
	'set-missing': _('The set %s of target %s does not exist. Let the daemon create it (option managed), or create it yourself.'),
	'set-full': _('The set %s of target %s is full: new elements are dropped. Increase its size, or shorten its timeout.'),
	'set-other-type': _('The set %s of target %s is of another type, and in use. The command nfa check shows what uses it.'),
	'no-permission': _('The daemon is not allowed to change the set %s of target %s. It needs root or the capability CAP_NET_ADMIN.')
};

/* A set, by the code of its trouble. */
function of_set(item, { targets, findings }) {
	if (item.code == 'set-unused') {
		const { rule } = findings?.find(({ code, target, set }) => code == item.code && target === item.name && set === item.set) ?? {};
		const text = _('No rule of the firewall uses the set %s of target %s: nothing happens to its flows.').format(item.set, item.name);
		const advice = _('A target of type firewall needs no rule.');
		return [ text, advice, ...(rule ? [ _('Or this command makes a rule that drops them, until the firewall restarts: %s').format(rule) ] : []) ].join(' ');
	}
	const trouble = targets?.[item.name]?.sets?.find(({ name }) => name === item.set)?.trouble;
	return (SET_TROUBLES[item.code] ?? _('The set %s of target %s cannot be used: %s')).format(item.set, item.name, trouble ?? item.text);
}

/* The texts of a problem (docs/status.md, health) by what it is about, and by its code where that matters. */
const TEXTS = {
	set: of_set,
	target: (item, { targets }, now) => {
		const target = targets?.[item.name] ?? {};
		if (!target.active)
			return _('Target %s is not in use: %s').format(item.name, target.reason);
		if (item.code == 'target-failed')
			return _('Target %s had an error %s: %s').format(item.name, words.ago(target.last_error_at, now), target.last_error);
		return _('Target %s is not working: %s').format(item.name, target.trouble);
	},
	'source-silent': (item, { source }) => source.code == 'source-silent'
		? _('netifyd is connected, but nothing comes. The command socket of netifyd 5 streams nothing: name a channel of its sink-socket plugin as the source.')
		: _('netifyd is connected but has reported no flow. It sees no traffic, or captures on the wrong device.'),
	'flows-before': (item, { flows }) => _('%s live connections began before nfa: no policy applies to them until they begin again. The command nfa adopt interrupts them, so that they do.')
		.format(words.count(flows.before)),
	'source-late': (item, { source }) =>
		_('Decisions are made %s after the traffic: the clock of a machine is wrong, or the router is too slow.').format(words.seconds(source.lag)),
	'records-bad': (item, { source }) => {
		const bad = Object.entries(source.bad ?? {}).reduce((sum, [ name, count ]) => sum + (name == 'resync_bytes' ? 0 : count), 0);
		return _('%s records from netifyd could not be used.').format(words.count(bad));
	},
	source: (item, { source }) => _('netifyd is not connected, so no flow is evaluated. %s').format(agent(source).advice),
	flows: (item, { flows }) => _('There were more flows at once than max_flows (%s) allows: %s were evicted.')
		.format(words.count(flows.max), words.count(flows.dropped)),
	loop: (item, { loop }) =>
		_('The daemon was busy for %d ms at a stretch: the router is overloaded, or writing a log is slow.').format(loop.longest_ms),
	faults: (item, { faults }) => _('nfa itself had %s faults. Please report the last one: %s').format(words.count(faults.count), faults.last)
};

/* The page on which a problem is mended, by its code or by what it is about. */
const MENDED = {
	'set-full': 'sets', 'set-unused': 'targets', 'source-silent': '', 'source-late': '', set: 'targets', target: 'targets', source: 'log', flows: 'policies', faults: 'log'
};

/* What the daemon calls a problem; of the policy, its findings say more. */
function of_health(status, now) {
	return (status.health?.problems ?? []).filter(item => item.of != 'policy').map(item => ({
		severity: item.severity == 'critical' ? 'error' : 'warning', code: item.code, place: '',
		page: MENDED[item.code] ?? MENDED[item.of] ?? '',
		section: [ 'set', 'target' ].includes(item.of) ? item.name : '',
		text: (TEXTS[item.code] ?? TEXTS[item.of])?.(item, status, now) ?? item.text
	}));
}

/*
 * What is wrong, the worst first: { severity: error or warning, code, text, place, page, section }. `section`: the one on that page that
 * it is about, "" if that is not one. `now`: the router's clock.
 */
function problems(status, now, kind) {
	const found = [
		...of_policy(status.policy, kind),
		...of_health(status, now)
	];
	return [ ...found.filter(item => item.severity == 'error'), ...found.filter(item => item.severity != 'error') ];
}

/* When hours begin or end: "sat 22:00" with its day in the person's language. */
function moment(text) {
	const days = {
		mon: _('Monday'), tue: _('Tuesday'), wed: _('Wednesday'), thu: _('Thursday'), fri: _('Friday'), sat: _('Saturday'), sun: _('Sunday')
	};
	return text.replace(/^[a-z]{3}/, day => days[day] ?? day);
}

/* Why a policy or target is not in use, by its code. Of others the daemon's words are shown. */
const UNUSED = {
	'action-broken': _('it has an error'),
	'exemptions-broken': _('held back: the exemptions that hold for all policies have an error'),
	'configuration-incomplete': _('held back: a file of the configuration cannot be used'),
	'targets-disabled': _('its targets are disabled'),
	'target-unusable': _('the target cannot be used'),
	'target-idle': _('no policy that is on uses it')
};

/* What holds a policy back that has no error itself: the name is in the daemon's words. */
function held_back(item) {
	const name = item.code == 'action-held-back' && item.reason.match(/'(.*)'/);
	return name ? _('held back: %s comes before it and has an error').format(name[1]) : null;
}

/* A state of what has an error and goes on in its last good version. */
function kept(item, state) {
	return item.active && item.last_good
		? { ...state, style: 'warning', note: _('it has an error: its last good version stays in use') } : state;
}

/* The state of an action, as a cell: { text, style, note }. */
function action(item) {
	return kept(item, state_of_action(item));
}

function state_of_action(item) {
	if (!item.enabled)
		return { text: _('off'), style: '', note: '' };
	if (!item.active)
		return { text: _('not in use'), style: 'warning', note: held_back(item) ?? UNUSED[item.code] ?? item.reason };
	if (item.paused_until)
		return { text: _('paused'), style: 'notice', note: _('until %s').format(new Date(item.paused_until * 1000).toLocaleString()) };
	if (item.in_hours === false)
		return { text: _('outside its schedule'), style: 'notice', note: item.until ? _('starts %s').format(moment(item.until)) : item.hours };
	if (item.in_hours === true)
		return { text: _('on'), style: 'success', note: item.until ? _('until %s').format(moment(item.until)) : item.hours };
	return { text: _('on'), style: 'success', note: '' };
}

/* Whether the policy in force lacks a section of UCI because of an error in it. */
function left_out(policy, section) {
	return (policy?.reports ?? []).some(({ severity, place }) =>
		severity == 'error' && place?.package === CONFIG && place.section === section);
}

/* The state of a target, likewise. */
function target(item) {
	return kept(item, state_of_target(item));
}

function state_of_target(item) {
	if (!item.enabled)
		return { text: _('off'), style: '', note: '' };
	if (!item.active)
		return { text: _('not in use'), style: item.code == 'target-idle' ? 'notice' : 'warning', note: UNUSED[item.code] ?? item.reason };
	if (item.trouble)
		return { text: _('trouble'), style: 'warning', note: item.trouble };
	if (item.type == 'sink' && !item.readers)
		return { text: _('no reader'), style: 'warning', note: '' };
	return { text: _('works'), style: 'success', note: '' };
}

return baseclass.extend({ allowed: allowed, possible: possible, state: state, agent: agent, report: report, problems: problems, action: action, left_out: left_out, target: target });
