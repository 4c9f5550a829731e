'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';

/*
 * Names of sections. All sections of a configuration share one space of names: a second section of a name takes the place of
 * the first, whatever its type. No DOM.
 */

/* Names that the daemon looks for, and the type of what they are. */
const OWN = { main: 'nfa', global: 'exemption' };

function list(value) {
	return value == null || value === '' ? [] : Array.isArray(value) ? value : [ value ];
}

function held(section, ...options) {
	return options.flatMap(option => list(section[option]));
}

const plain = name => String(name ?? '').replaceAll('_', '-');

function named(type, test) {
	return uci.sections(api.CONFIG, type).filter(test).map(section => section['.name']);
}

/* What names a section, by the types of what it is: lists of names of policies, targets and channels. */
const USERS = {
	target: name => [ named('action', one => held(one, 'target', 'targets').includes(name)), [], [] ],
	time_of_day: name => [ named('action', one => held(one, 'time_of_day').includes(name)), [], [] ],
	exemption: name => [ named('action', one => held(one, 'exemption', 'exemptions').includes(name)), [], [] ],
	sink: name => [
		[], named('target', one => one.sink != null && plain(one.sink) === plain(name)),
		named('channel', one => one.sink != null && plain(one.sink) === plain(name))
	],
	channel: name => [ [], named('target', one => one.channel != null && plain(one.channel) === plain(name)), [] ]
};

return baseclass.extend({
	/* Why a new section of a type cannot have a name; "" when it can. */
	problem: (type, name) => {
		if (!/^[A-Za-z0-9_]+$/.test(name ?? ''))
			return _('A name may have letters, digits and underscores.');
		if (name in Object.prototype || (Object.hasOwn(OWN, name) && OWN[name] !== type))
			return _('The name %s is kept for something else. Choose another one.').format(name);
		if (uci.get(api.CONFIG, name) != null)
			return _('The configuration has something else of the name %s. Policies, schedules, targets, lists, sinks and channels share their names: choose another one.').format(name);
		return '';
	},

	/* Sentences about what uses a section; none when nothing does. */
	users: (type, name) => {
		const [ policies, targets, channels ] = USERS[type]?.(name) ?? [ [], [], [] ];
		return [
			...(type === 'exemption' && name === 'global' ? [ _('It holds for all policies.') ] : []),
			...(policies.length ? [ _('Policies that use it: %s').format(policies.join(', ')) ] : []),
			...(targets.length ? [ _('Targets that use it: %s').format(targets.join(', ')) ] : []),
			...(channels.length ? [ _('Channels that use it: %s').format(channels.join(', ')) ] : [])
		];
	}
});
