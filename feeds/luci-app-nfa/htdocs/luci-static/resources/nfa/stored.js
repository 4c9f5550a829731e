'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';

/* What sections of the configuration hold, as the daemon reads them, and what is added to it. No DOM. */

/* The section whose exemptions hold for all actions. */
const GLOBAL = 'global';

/* An option may hold a list, or one text; spaces in it part nothing. */
function list(value) {
	return value == null || value === '' ? [] : Array.isArray(value) ? value : [ value ];
}

/* The name under which an option of a section is written, of those that the daemon reads; the last one given counts. */
function written(section, names) {
	const given = Object.keys(section ?? {}).filter(name => names.includes(name));
	return given[given.length - 1] ?? names[0];
}

function entries(section, ...names) {
	return list(section?.[written(section, names)]);
}

return baseclass.extend({
	GLOBAL: GLOBAL,
	list: list,

	/* Whether a text is one of the daemon's words for yes. */
	yes: value => [ '1', 'yes', 'on', 'true', 'enabled' ].includes(String(value ?? '').trim().toLowerCase()),

	written: written,

	/* The entries of a list of a section that goes by one of these names. */
	entries: entries,

	/* Exemptions: of an action, or of the section that holds some. */
	exemptions: section => entries(section, 'exemption', 'exemptions'),

	/* Let an action (or GLOBAL: every action) leave alone what an expression is about. It waits to be saved. */
	exempt: (action, expression) => {
		if (action === GLOBAL && uci.get(api.CONFIG, GLOBAL) == null)
			uci.add(api.CONFIG, 'exemption', GLOBAL);
		const section = uci.get(api.CONFIG, action);
		if (section?.['.type'] !== (action === GLOBAL ? 'exemption' : 'action'))
			throw new Error(_('The name %s is in use for something else.').format(action));
		const name = written(section, [ 'exemption', 'exemptions' ]);
		const held = list(section[name]);
		if (!held.includes(expression))
			uci.set(api.CONFIG, action, name, held.concat([ expression ]));
	}
});
