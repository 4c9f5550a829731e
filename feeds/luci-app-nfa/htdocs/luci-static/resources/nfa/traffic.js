'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';
'require nfa.stored as stored';
'require nfa.words as words';

/*
 * What targets of type firewall do to packets, and what has met them, in words. In: sections of the configuration, and what the
 * daemon says (docs/status.md, traffic: held, packets, bytes). Out: texts; no page is touched here.
 */

const EFFECTS = [ 'verdict', 'limit', 'limit_up', 'limit_down', 'set_dscp', 'set_mark', 'route' ];

/* The options of a target by its name, with the defaults of its type; null for others than firewall targets that UCI has. */
function options(name) {
	const own = uci.get(api.CONFIG, name);
	if (own?.['.type'] !== 'target' || own.target_type !== 'firewall')
		return null;
	const defaults = uci.get(api.CONFIG, 'firewall');
	const has_own = EFFECTS.some(effect => own[effect]);
	const inherited = Object.entries(defaults?.['.type'] === 'target_default' ? defaults : {}).filter(([ option ]) => !has_own || !EFFECTS.includes(option));
	return { ...Object.fromEntries(inherited), ...own };
}

/* What is done to packets, in a word: stopped, limited or marked; '' where it is nothing of these alone. */
function kind(target) {
	if (target?.verdict)
		return 'stopped';
	const limited = target?.limit || target?.limit_up || target?.limit_down, marked = target?.set_dscp || target?.set_mark;
	return limited && !marked ? 'limited' : marked && !limited ? 'marked' : '';
}

const COUNTED = {
	stopped: count => N_(count, '%s packet stopped', '%s packets stopped'),
	limited: count => N_(count, '%s packet met the limit', '%s packets met the limit'),
	marked: count => N_(count, '%s packet marked', '%s packets marked'),
	'': count => N_(count, '%s packet', '%s packets')
};

return baseclass.extend({
	/*
	 * What becomes of packets by the targets of these names: { kind, held }, of which each is '' where they differ or nothing is
	 * known. Targets that are not of type firewall do nothing to packets.
	 */
	of_targets: names => {
		const found = names.map(options).filter(target => target != null);
		// A target of a JSON file may do anything.
		const all = names.every(name => uci.get(api.CONFIG, name)?.['.type'] === 'target');
		const same = list => all && new Set(list).size === 1 ? list[0] : '';
		return { kind: found.some(target => target.verdict) ? 'stopped' : same(found.map(kind)), held: same(found.map(target => target.scope || 'connection')) };
	},

	/* What is held and what met it: lines. `traffic`: of the daemon; `what`: of of_targets(). */
	lines: (traffic, what) => [
		(what.held === 'connection' ? N_(traffic.held, '%s connection held', '%s connections held') : N_(traffic.held, '%s element held', '%s elements held'))
			.format(words.count(traffic.held)),
		`${COUNTED[what.kind](traffic.packets).format(words.count(traffic.packets))}, ${words.bytes(traffic.bytes)}`
	],

	/* What a section of a firewall target does, in some words each. */
	effects: target => {
		const found = [];
		if (target.verdict)
			found.push(target.verdict);
		for (const [ option, title ] of [ [ 'limit', _('at most %s') ], [ 'limit_up', _('uploads at most %s') ], [ 'limit_down', _('downloads at most %s') ] ])
			if (target[option])
				found.push(title.format(target[option]));
		if (found.length && stored.yes(target.per_device))
			found.push(_('for each device'));
		if (target.set_dscp)
			found.push(_('class %s').format(target.set_dscp));
		if (target.set_mark)
			found.push(_('mark %s').format(target.set_mark));
		if (target.route)
			found.push(_('through %s').format(target.route));
		if (target.scope === 'server')
			found.push(_('all connections to the server'));
		if (target.scope === 'device')
			found.push(_('everything of the device'));
		return found;
	}
});
