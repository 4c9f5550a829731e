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
			return _('The name %s is in use. Policies, schedules, targets, lists, sinks and channels cannot have the same name: choose another one.').format(name);
		return '';
	},

	/* The names of the policies that name a section of a type. */
	policies: policies,

	/* Sentences about what uses a section; none when nothing does. */
	users: (type, name) => {
		const actions = policies(type, name);
		const [ targets, channels ] = OTHERS[type]?.(name) ?? [ [], [] ];
		return [
			...(type === 'exemption' && name === stored.GLOBAL ? [ _('It applies to all policies.') ] : []),
			...(actions.length ? [ _('Policies that use it: %s').format(actions.join(', ')) ] : []),
			...(targets.length ? [ _('Targets that use it: %s').format(targets.join(', ')) ] : []),
			...(channels.length ? [ _('Channels that use it: %s').format(channels.join(', ')) ] : [])
		];
	}
});
