'use strict';
'require baseclass';
'require nfa.names as names';
'require nfa.stored as stored';

/*
 * What a rule does, as people say it, and the target that does it. In: sections of the configuration. Out: a choice
 * { kind, rate, each, network }, words, and what is to be written. Pure: nothing is written here.
 *
 * Kinds: block, slow, first, last, wan, note; own: targets that a person made. Rules that do the same share a target, but not a
 * limit: what shares one shares what may pass.
 */

const FIRST = /^(ef|va|cs[567]|af4[123]|0x2e|46)$/i;
const LAST = /^(cs1|le|af1[123]|8|1|0x8|0x1)$/i;
const TYPE = 'target_type';
/* Their names when they are new. A limit belongs to its rule. */
const NAMES = { block: () => 'block', first: () => 'first', last: () => 'last', note: () => 'note', wan: ({ network }) => `through_${network}`, slow: (choice, rule) => `${rule}_limit` };

const options = section => Object.fromEntries(Object.entries(section ?? {}).filter(([ name ]) => !name.startsWith('.')));

/* The options of the target that does it. */
function wanted({ kind, rate, each, network }) {
	const firewall = more => ({ [TYPE]: 'firewall', ...more });
	return {
		block: () => firewall({ verdict: 'reject' }),
		slow: () => firewall({ limit: rate, ...(each ? { per_device: '1' } : {}) }),
		first: () => firewall({ set_dscp: 'EF' }),
		last: () => firewall({ set_dscp: 'CS1' }),
		wan: () => firewall({ route: network }),
		note: () => ({ [TYPE]: 'log' })
	}[kind]();
}

/* What a target is to a person: a choice; { kind: 'own' } where it says more than one. */
function of_target(section) {
	const { target_enabled: enabled, [TYPE]: type, ...rest } = options(section);
	if (section?.['.type'] !== 'target' || (enabled != null && !stored.yes(enabled)))
		return { kind: 'own' };
	const only = (...allowed) => Object.keys(rest).every(name => allowed.includes(name));
	if (type === 'log' && only())
		return { kind: 'note' };
	if (type !== 'firewall')
		return { kind: 'own' };
	if (rest.verdict && only('verdict'))
		return { kind: 'block' };
	if (rest.limit && only('limit', 'per_device'))
		return { kind: 'slow', rate: rest.limit, each: stored.yes(rest.per_device) };
	if (rest.route && only('route'))
		return { kind: 'wan', network: rest.route };
	if (rest.set_dscp && only('set_dscp') && (FIRST.test(rest.set_dscp) || LAST.test(rest.set_dscp)))
		return { kind: FIRST.test(rest.set_dscp) ? 'first' : 'last' };
	return { kind: 'own' };
}

/* 2mbit: 2 Mbit/s. */
function rate(text) {
	const match = /^\s*([0-9.]+)\s*([kmg]?)(bit|byte)(?:\/s)?\s*$/i.exec(text ?? '');
	const units = { '': '', k: 'k', m: 'M', g: 'G' };
	return match ? `${match[1]} ${units[match[2].toLowerCase()]}${match[3].toLowerCase() === 'bit' ? 'bit/s' : 'B/s'}` : String(text ?? '');
}

/* What a target of type firewall does: [ verb, rest ] each. */
function of_firewall(target) {
	const found = [];
	const limits = [ [ target.limit, _('to %s') ], [ target.limit_down, _('to %s down') ], [ target.limit_up, _('to %s up') ] ].filter(([ value ]) => value);
	if (target.verdict)
		found.push([ _('Block'), '' ]);
	if (limits.length)
		found.push([ _('Slow down'), [ ...limits.map(([ value, words ]) => words.format(rate(value))), ...(stored.yes(target.per_device) ? [ _('each device') ] : []) ].join(', ') ]);
	if (target.set_dscp)
		found.push(FIRST.test(target.set_dscp) ? [ _('Put first'), '' ] : LAST.test(target.set_dscp) ? [ _('Put last'), '' ]
			: [ _('Give'), _('the class %s').format(target.set_dscp) ]);
	if (target.route)
		found.push([ _('Send'), _('through %s').format(target.route) ]);
	if (target.set_mark)
		found.push([ _('Mark'), _('with %s').format(target.set_mark) ]);
	return found;
}

const OTHERS = {
	nftset: target => [ _('Note'), _('in the set %s').format(target.set_name ?? target['.name']) ],
	ipset: target => [ _('Note'), _('in the set %s').format(target.set_name ?? target['.name']) ],
	log: () => [ _('Note'), _('in a log') ],
	sink: target => [ _('Note'), _('in the sink %s').format(target.sink ?? '?') ],
	ctmark: target => [ _('Mark'), _('with %s').format(target.mark ?? '?') ],
	ctlabel: target => [ _('Label'), _('with %s').format(stored.entries(target, 'labels', 'label').join(', ') || '?') ]
};

/* What a target does, in words: a list of [ verb, rest ]. `defaults`: of type firewall, or null. */
function verbs(target, defaults) {
	if (target == null)
		return [];
	const EFFECTS = [ 'verdict', 'limit', 'limit_up', 'limit_down', 'set_dscp', 'set_mark', 'route' ];
	const own = options(target);
	const inherited = Object.entries(options(defaults)).filter(([ name ]) => !EFFECTS.includes(name) || !EFFECTS.some(effect => own[effect]));
	const found = own[TYPE] === 'firewall' ? of_firewall({ ...Object.fromEntries(inherited), ...own }) : Object.hasOwn(OTHERS, own[TYPE] ?? '') ? [ OTHERS[own[TYPE]](target) ] : [];
	const off = own.target_enabled != null && !stored.yes(own.target_enabled);
	return off ? found.map(([ verb, rest ]) => [ verb, `${rest} ${_('(target %s is off)').format(target['.name'])}`.trim() ]) : found;
}

return baseclass.extend({
	kinds: () => [
		[ 'block', _('Block') ], [ 'slow', _('Slow down') ], [ 'first', _('Put first') ], [ 'last', _('Put last') ],
		[ 'wan', _('Send through another WAN') ], [ 'note', _('Only note, in a log') ], [ 'own', _('A target of mine') ]
	],
	wanted: wanted,
	of_target: of_target,
	verbs: verbs,
	rate: rate,

	/* What a rule does by the sections of its targets: a choice; several targets are a person's own. */
	of_rule: targets => targets.length === 1 ? of_target(targets[0]) : { kind: 'own' },

	/*
	 * The target for a choice: { name, options }; options null where there is nothing to write. `rule`: the name of the rule; `held`: names of
	 * its targets now; `there`: all sections.
	 */
	plan: (choice, rule, held, there) => {
		const options_wanted = wanted(choice);
		const used = name => there.filter(one => one['.type'] === 'action' && one['.name'] !== rule && stored.entries(one, 'target', 'targets').includes(name)).length;
		const does = section => {
			const found = of_target(section);
			return found.kind === choice.kind && (found.rate ?? '') === (choice.rate ?? '') && Boolean(found.each) === Boolean(choice.each) && (found.network ?? '') === (choice.network ?? '');
		};
		const now = there.find(one => held.length === 1 && one['.name'] === held[0]);
		if (now != null && does(now))
			return { name: now['.name'], options: null };
		if (now != null && choice.kind === 'slow' && of_target(now).kind === 'slow' && !used(now['.name']))
			return { name: now['.name'], options: options_wanted };
		const other = choice.kind === 'slow' ? null : there.find(does);
		if (other != null)
			return { name: other['.name'], options: null };
		return { name: names.free(NAMES[choice.kind](choice, rule), there.map(one => one['.name'])), options: options_wanted };
	}
});
