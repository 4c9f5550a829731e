'use strict';
'require baseclass';
'require nfa.criteria as criteria';
'require nfa.doing as doing';
'require nfa.hours as hours';
'require nfa.readable as readable';
'require nfa.stored as stored';

/*
 * A rule as a sentence: Block YouTube, TikTok - for tablet - Mon to Fri, 21:00 to 06:30 - after 1 h a day - except Netflix. In: sections of the
 * configuration. Out: texts. Pure.
 */

const SHOWN = 3;

/* A few of a list, and how many more there are. */
function few(list) {
	return list.length <= SHOWN ? list.join(', ') : _('%s and %d more').format(list.slice(0, SHOWN - 1).join(', '), list.length - SHOWN + 1);
}

/* 1h30m: 1 h 30 min. */
function duration(text) {
	const units = { d: _('%d d'), h: _('%d h'), m: _('%d min'), min: _('%d min'), s: _('%d s') };
	return [ ...String(text).toLowerCase().matchAll(/([0-9]+)\s*(min|[dhms])/g) ].map(([ , count, unit ]) => units[unit].format(count)).join(' ') || String(text);
}

/* What has to be used up before a rule acts, by its section. */
function budget(section) {
	const each = String(section.period ?? 'day').trim().toLowerCase() === 'week' ? _('%s a week') : _('%s a day');
	const amounts = [ ...(section.time ? [ duration(section.time) ] : []), ...(section.bytes ? [ String(section.bytes) ] : []) ].map(text => each.format(text));
	const days = stored.entries(section, 'day', 'days');
	return [
		_('after %s').format(amounts.join(_(' or ')) || section['.name']), ...(days.length ? [ _('(%s)').format(days.join('; ')) ] : []),
		...(stored.yes(section.shared) ? [ _('together') ] : [])
	].join(' ');
}

/* How people call an address, network, or @NAME of the configuration. */
function whose(address, world) {
	if (!address.startsWith('@'))
		return world.hosts?.[address] ?? world.hosts?.[address.toUpperCase()] ?? address;
	const section = world.get(address.slice(1));
	const own = section?.title || address.slice(1);
	// A recipe's device has no name of its own: what the router calls its address is better.
	const named = (section?.title ? [] : stored.list(section?.mac).concat(stored.list(section?.ip))).map(one => world.hosts?.[one.toUpperCase()] ?? world.hosts?.[one]).find(name => name);
	return named ?? own;
}

function named(choices) {
	return [ 'apps', 'protocols', 'categories' ].flatMap(kind => choices[kind].map(name => readable.choice(kind, name)));
}

/* One exemption: an expression, an address, or a list of exemptions. */
function exemption(entry, world) {
	if (world.get(entry)?.['.type'] === 'exemption')
		return _('the list %s').format(entry);
	if (criteria.is_address(entry) || (/^[0-9a-f]{2}([:-][0-9a-f]{2}){5}$/i).test(entry))
		return whose(entry, world);
	const choices = criteria.parse(entry);
	if (choices == null || criteria.is_empty(choices))
		return entry;
	const where = [ ...choices.remotes, ...choices.ports.map(port => _('port %s').format(port)) ];
	const who = [ ...choices.devices, ...choices.networks ].map(one => whose(one, world));
	return [ few(named(choices)), ...(who.length ? [ named(choices).length ? _('on %s').format(few(who)) : few(who) ] : []), ...(where.length ? [ few(where) ] : []) ].filter(text => text).join(' ');
}

/* The scope of what decides packets, where that is more than what matched. */
function scope(targets) {
	const found = targets.map(target => target?.scope).find(one => one === 'device' || one === 'server');
	return found === 'device' ? _('with everything else of the device') : found ? _('with all connections to the same server') : '';
}

return baseclass.extend({
	few: few,
	duration: duration,
	budget: budget,
	whose: whose,

	/*
	 * `action`: the section of a rule. `world`: { get(name): a section; hosts: names of devices by their addresses }. Gives { verb, what, code,
	 * rest, parts }: code, where what it matches is no choice of lists but an expression; rest belongs to the verb; parts follow.
	 */
	say: (action, world) => {
		const names = stored.entries(action, 'target', 'targets');
		const targets = names.map(name => world.get(name)).map(section => section?.['.type'] === 'target' ? section : null);
		const found = names.flatMap((name, index) => targets[index] == null ? [ [ _('Reach the target %s with').format(name), '' ] ] : doing.verbs(targets[index], world.get('firewall')?.['.type'] === 'target_default' ? world.get('firewall') : null));
		const different = list => [ ...new Set(list.filter(text => text)) ];
		const entries = stored.list(action.criteria);
		const choices = criteria.parse(entries);
		const what = choices == null ? '' : few(named(choices)) || _('everything');
		const where = choices == null ? [] : [ ...choices.remotes, ...choices.ports.map(port => _('port %s').format(port)) ];
		const who = choices == null ? [] : different([ ...choices.devices, ...choices.networks ].map(one => whose(one, world)));
		const times = stored.list(action.time_of_day).map(name => world.get(name)?.['.type'] === 'time_of_day' ? hours.words(hours.read(world.get(name))) : name);
		const limit = action.budget ? world.get(action.budget) : null;
		const except = stored.exemptions(action).map(entry => exemption(entry, world));
		return {
			verb: different(found.map(([ verb ]) => verb)).join(' + ') || _('Do nothing yet with'),
			what: entries.length || choices != null ? what : '',
			code: choices == null ? few(entries) || _('nothing chosen') : '',
			rest: different(found.map(([ , rest ]) => rest)).join(', '),
			parts: [
				...(where.length ? [ _('to %s').format(few(where)) ] : []),
				...(who.length ? [ _('for %s').format(few(who)) ] : []),
				...(times.length ? [ times.join('; ') ] : []),
				...(action.budget ? [ limit?.['.type'] === 'budget' ? budget(limit) : _('after the budget %s').format(action.budget) ] : []),
				...(except.length ? [ _('except %s').format(few(except)) ] : []),
				...(scope(targets) && (choices == null || named(choices).length) ? [ scope(targets) ] : [])
			]
		};
	}
});
