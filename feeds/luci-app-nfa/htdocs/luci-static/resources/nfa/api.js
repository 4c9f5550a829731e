'use strict';
'require baseclass';
'require fs';
'require rpc';

/*
 * Everything that the pages ask of the router: the daemon's methods over ubus (docs/bus.md), its service, the
 * names of devices. One declaration each, so that the ACL can be compared with this file.
 *
 * What is polled gives null when there is no answer (the daemon does not run). What a person has asked for rejects
 * with an Error that has the daemon's own words.
 */

const CONFIG = 'netify-proc-flow-actions';
const INIT = '/etc/init.d/nfa';
const SERVICE_ACTIONS = [ 'start', 'stop', 'restart', 'enable', 'disable' ];

const callStatus = rpc.declare({ object: 'nfa', method: 'status' });
const callActions = rpc.declare({ object: 'nfa', method: 'actions', params: [ 'search', 'offset', 'limit' ] });
const callTargets = rpc.declare({ object: 'nfa', method: 'targets', params: [ 'search', 'offset', 'limit' ] });
const callElements = rpc.declare({ object: 'nfa', method: 'elements', params: [ 'target', 'search', 'offset', 'limit' ] });
const callMatches = rpc.declare({ object: 'nfa', method: 'matches', params: [ 'limit' ] });
const callUsage = rpc.declare({ object: 'nfa', method: 'usage', params: [ 'since', 'until', 'device', 'app', 'by', 'offset', 'limit' ] });
const callBudget = rpc.declare({ object: 'nfa', method: 'budget', params: [ 'name', 'device', 'offset', 'limit' ] });
const callExplain = rpc.declare({ object: 'nfa', method: 'explain', params: [ 'flow' ] });
const callCheck = rpc.declare({ object: 'nfa', method: 'check', params: [ 'criteria', 'exemptions', 'config' ] });
const callApps = rpc.declare({ object: 'nfa', method: 'apps', params: [ 'search', 'offset', 'limit' ] });
const callProtocols = rpc.declare({ object: 'nfa', method: 'protocols', params: [ 'search', 'offset', 'limit' ] });
const callCategories = rpc.declare({ object: 'nfa', method: 'categories', params: [ 'search', 'offset', 'limit' ] });
const callDevices = rpc.declare({ object: 'nfa', method: 'devices', params: [ 'search', 'offset', 'limit' ] });
const callRoutes = rpc.declare({ object: 'nfa', method: 'routes', params: [ 'config' ] });
const callReload = rpc.declare({ object: 'nfa', method: 'reload' });
const callFlush = rpc.declare({ object: 'nfa', method: 'flush', params: [ 'target' ] });
const callAdopt = rpc.declare({ object: 'nfa', method: 'adopt', params: [ 'dry_run' ] });
const callPause = rpc.declare({ object: 'nfa', method: 'pause', params: [ 'name', 'seconds' ] });
const callResume = rpc.declare({ object: 'nfa', method: 'resume', params: [ 'name' ] });
const callAddBudget = rpc.declare({ object: 'nfa', method: 'add_budget', params: [ 'name', 'device', 'seconds', 'bytes' ] });
const callService = rpc.declare({ object: 'service', method: 'list', params: [ 'name' ], expect: { '': {} } });
/* rpcd lets everybody ask what he may do himself. */
const callAccess = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });
const callHints = rpc.declare({ object: 'luci-rpc', method: 'getHostHints', expect: { '': {} } });

/*
 * An answer of a status other than 0 is that number, or, where the daemon says why, an object with `error`. Without the
 * daemon its object is not there, for which the call is rejected.
 */
function answered(reply) {
	return reply != null && typeof reply == 'object' && reply.error == null;
}

/* What devices say they are called, without signs that would turn the text around it the other way. */
function hints() {
	return callHints().then(found => {
		for (const hint of Object.values(found ?? {}))
			if (typeof hint?.name == 'string')
				hint.name = hint.name.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '');
		return found;
	});
}

/* Whether an answer to a poll was that this login may not ask. */
let refused = false;

function polled(call) {
	return call.then(reply => {
		refused ||= reply === 6;
		return answered(reply) ? reply : null;
	}, error => {
		refused ||= String(error?.message).includes('-32002');
		return null;
	});
}

function asked(call) {
	return call.then(reply => {
		if (answered(reply))
			return reply;
		if (reply?.error != null)
			throw new Error(reply.error);
		throw new Error(reply === 4 ? _('The daemon is not running.') : rpc.getStatusText(Number(reply)));
	}, error => {
		throw String(error?.message).includes('-32000') ? new Error(_('The daemon is not running.')) : error;
	});
}

/* All pages of a list: `call` is asked until there are no more items under `name`, or there are `most`. Null without the daemon. */
function everything(call, name, most, offset) {
	return polled(call(undefined, offset ?? 0, 1000)).then(reply => {
		if (reply == null)
			return null;
		const items = reply[name] ?? [];
		const known = (offset ?? 0) + items.length;
		if (!items.length || !reply.more || known >= most)
			return items;
		return everything(call, name, most, known).then(rest => items.concat(rest ?? []));
	});
}

/* The list of an answer about usage, by what it is about. */
const COUNTED = { '': 'devices', hour: 'periods', day: 'periods', action: 'actions' };
/* Answers of 32 devices that are asked for one question. */
const MOST_ANSWERS = 8;

/* What was used: all pages of an answer as one. Null without the daemon, and where it does not count. */
function used(given, found) {
	const name = COUNTED[given.by ?? ''], offset = found?.[name].length ?? 0;
	return polled(callUsage(given.since, undefined, given.device, undefined, given.by, offset, undefined)).then(reply => {
		if (reply == null)
			return null;
		const items = (found?.[name] ?? []).concat(reply[name] ?? []), asked = (found?.asked ?? 0) + 1;
		const all = { ...reply, [name]: items, asked };
		return reply.more && reply[name].length && asked < MOST_ANSWERS ? used(given, all) : all;
	});
}

return baseclass.extend({
	CONFIG: CONFIG,
	SERVICE_ACTIONS: SERVICE_ACTIONS,

	/* Whether this login may not ask: all that is polled is null then. */
	is_refused: () => refused,

	/* Polled: null without the daemon. */
	status: () => polled(callStatus()),
	actions: (search, offset, limit) => polled(callActions(search, offset, limit)),
	targets: (search, offset, limit) => polled(callTargets(search, offset, limit)),
	elements: (target, search, offset, limit) => polled(callElements(target, search, offset, limit)),
	/* `given`: { since, device, by } of docs/bus.md. */
	usage: given => used(given ?? {}),
	budgets: (device, limit, name) => polled(callBudget(name, device, undefined, limit)),
	all_actions: () => everything(callActions, 'actions', 10000),
	all_targets: () => everything(callTargets, 'targets', 10000),
	matches: limit => polled(callMatches(limit)),

	/* Asked for: an Error says what is wrong. `flow`: the beginning of a digest, or a flow record. */
	explain: flow => asked(callExplain(flow)),
	checkCriteria: text => asked(callCheck(text, undefined, undefined)),
	checkExemptions: text => asked(callCheck(undefined, text, undefined)),
	/* What /etc/config/network lacks for other WANs, by a text of UCI; without one, by the configuration as it is. */
	routes: config => asked(callRoutes(config)),
	reload: () => asked(callReload()),
	flush: target => asked(callFlush(target)),
	adopt: dry => asked(callAdopt(dry)),
	pause: (name, seconds) => asked(callPause(name, seconds)),
	add_budget: (name, device, seconds) => asked(callAddBudget(name, device, seconds, undefined)),
	resume: name => asked(callResume(name)),

	/* The names that the running agent knows: lists of { name, id, category } or { name, id, of }; empty without the daemon.
	   `devices`: of the configuration, and others, whose name is empty. */
	apps: () => everything(callApps, 'apps', 10000).then(L.toArray),
	protocols: () => everything(callProtocols, 'protocols', 10000).then(L.toArray),
	devices: () => everything(callDevices, 'devices', 10000).then(L.toArray),
	categories: () => everything(callCategories, 'categories', 10000).then(L.toArray),

	/*
	 * What procd knows of the service: { known, running, pid }. Known: it was started, and not stopped since; one that is
	 * known and does not run has ended by itself.
	 */
	service: () => polled(callService('nfa')).then(list => {
		// The daemon is the first one; others help it.
		const { instance1, ...others } = list?.nfa?.instances ?? {};
		const instance = instance1 ?? Object.values(others)[0];
		return { known: instance != null, running: instance?.running === true, pid: instance?.pid };
	}),

	/* Whether the service is started with the router; null where that cannot be asked. */
	starts: () => fs.exec(INIT, [ 'enabled' ]).then(done => done.code === 0, () => null),

	/* One of SERVICE_ACTIONS. Rejects with what the script said. */
	service_do: action => fs.exec(INIT, [ action ]).then(done => {
		if (done.code !== 0)
			throw new Error(done.stderr || done.stdout || _('%s exited with code %d').format(INIT, done.code));
	}),

	/* Whether this login may change a package of UCI. */
	may_write: name => callAccess('uci', name, 'write').then(may => may === true, () => false),

	/* Lines of the system's log that speak of nfa, oldest first. */
	log: () => fs.exec('/sbin/logread', [ '-e', 'nfa' ]).then(done => (done.stdout ?? '').split('\n').filter(line => line)),

	/* Address (MAC in capitals, IPv4, IPv6) to the name of the device. */
	hosts: () => hints().then(found => {
		const names = {};
		for (const [ mac, hint ] of Object.entries(found ?? {})) {
			if (!hint?.name)
				continue;
			for (const address of [ mac, ...L.toArray(hint.ipaddrs), ...L.toArray(hint.ip6addrs) ])
				names[address] = hint.name;
		}
		return names;
	}),

	/* The raw hints, for lists of devices to pick from: MAC to { name, ipaddrs, ip6addrs }. */
	hints: hints
});
