'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';
'require nfa.fields as fields';
'require nfa.stored as stored';

/*
 * Names of sections. All sections of a configuration share one space of names: a second section of a name takes the place of
 * the first, whatever its type. No DOM.
 */

/* Names that the daemon looks for, and the type of what they are. */
const OWN = { main: 'nfa', global: 'exemption' };

const plain = name => String(name ?? '').replaceAll('_', '-');

function named(type, test) {
	return uci.sections(api.CONFIG, type).filter(test).map(section => section['.name']);
}

/* A text as a name that UCI takes: `Kids videos` is Kids_videos. */
function identifier(text) {
	return String(text ?? '').normalize('NFKD').replace(/[\u0300-\u036f]/g, '').trim().replace(/[^A-Za-z0-9_]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 60);
}

/* A name that is free, the same or with a number. `taken`: names that are in use. */
function free(name, taken) {
	const stem = identifier(name) || 'rule', used = wanted => taken.includes(wanted) || wanted in Object.prototype || Object.hasOwn(OWN, wanted);
	let found = stem;
	for (let number = 2; used(found); number++)
		found = `${stem}_${number}`;
	return found;
}

/* What an action names stands in options that are called as the types of sections are. */
function policies(type, name) {
	const field = fields.action().find(one => one.name === type);
	return field ? named('action', action => stored.entries(action, field.name, ...field.other).includes(name)) : [];
}

/* What else names a section, by the types of what it is: lists of names of targets and channels. */
const OTHERS = {
	sink: name => [
		named('target', one => one.sink != null && plain(one.sink) === plain(name)),
		named('channel', one => one.sink != null && plain(one.sink) === plain(name))
	],
	time_of_day: name => [ [], [], named('budget', one => stored.entries(one, 'exempt_time').includes(name)) ],
	channel: name => [ named('target', one => one.channel != null && plain(one.channel) === plain(name)), [] ]
};

return baseclass.extend({
	/* Why a new section of a type cannot have a name; "" when it can. */
	problem: (type, name) => {
		if (!/^[A-Za-z0-9_]+$/.test(name ?? ''))
			return _('A name may contain letters, digits and underscores.');
		if (name in Object.prototype || (Object.hasOwn(OWN, name) && OWN[name] !== type))
			return _('The name %s is reserved. Choose another one.').format(name);
		if (uci.get(api.CONFIG, name) != null)
			return _('The name %s is in use. Rules, schedules, budgets, targets, lists, sinks and channels cannot have the same name: choose another one.').format(name);
		return '';
	},

	identifier: identifier,
	free: free,

	/*
	 * What belongs to a rule alone: sections that only it names, as { type, name }. They do nothing without it. Devices count where a recipe
	 * made them for the rule.
	 */
	belongings: rule => {
		const section = uci.get(api.CONFIG, rule);
		const alone = (type, name) => policies(type, name).every(other => other === rule);
		const said = uci.sections(api.CONFIG).filter(one => one['.name'] !== rule).map(one => JSON.stringify(one)).join(' ');
		const listed = [ [ 'target', 'targets' ], [ 'time_of_day' ], [ 'budget' ], [ 'exemption', 'exemptions' ] ].flatMap(([ type, ...other ]) =>
			stored.entries(section, type, ...other).filter(name => uci.get(api.CONFIG, name)?.['.type'] === type && name !== stored.GLOBAL && alone(type, name))
				.map(name => ({ type, name })));
		const held = new Set(listed.filter(({ type }) => type === 'budget').map(({ name }) => name));
		const others = name => named('budget', one => !held.has(one['.name']) && stored.entries(one, 'exempt_time').includes(name)).length;
		return [
			...listed.filter(({ type, name }) => type !== 'time_of_day' || !others(name)),
			...named('device', one => one['.name'].startsWith(`${rule}_device_`) && !new RegExp(`@?\\b${one['.name']}\\b`).test(said.replaceAll(`".name":"${one['.name']}"`, '')))
				.map(name => ({ type: 'device', name }))
		];
	},

	/* The names of the policies that name a section of a type. */
	policies: policies,

	/* Sentences about what uses a section; none when nothing does. */
	users: (type, name) => {
		const actions = policies(type, name);
		const [ targets, channels, budgets ] = OTHERS[type]?.(name) ?? [ [], [] ];
		return [
			...(type === 'exemption' && name === stored.GLOBAL ? [ _('It applies to all rules.') ] : []),
			...(actions.length ? [ _('Rules that use it: %s').format(actions.join(', ')) ] : []),
			...(targets.length ? [ _('Targets that use it: %s').format(targets.join(', ')) ] : []),
			...(budgets?.length ? [ _('Budgets that use it: %s').format(budgets.join(', ')) ] : []),
			...(channels.length ? [ _('Channels that use it: %s').format(channels.join(', ')) ] : [])
		];
	}
});
