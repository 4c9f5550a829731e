'use strict';
'require baseclass';
'require nfa.api as api';
'require nfa.names as names';
'require nfa.stored as stored';
'require uci';

/*
 * Changes of the configuration that begin at a flow: they wait, as LuCI's changes do, until a person saves and applies
 * them. No DOM in here.
 */

const CONFIG = api.CONFIG;

/* The sections of a type that have a name: others cannot be named by anything. */
function named(type) {
	return uci.sections(CONFIG, type).filter(section => !section['.anonymous']).map(section => section['.name']);
}

function is_a(type, name) {
	return uci.get(CONFIG, name)?.['.type'] === type;
}

return baseclass.extend({
	/* Read the configuration, with the changes that wait. */
	load: () => uci.load(CONFIG),

	/* Those of the actions that can be changed here: an action of a JSON file cannot. */
	changeable: actions => actions.filter(name => is_a('action', name)),

	targets: () => named('target'),

	/* Names that no new section may have. */
	taken: () => uci.sections(CONFIG).map(section => section['.name']),

	/* Let an action, or all of them (stored.GLOBAL), leave alone what the expression is about. */
	exempt: (expression, action) => {
		stored.exempt(action, expression);
		return uci.save();
	},

	/* A new action. Without a target it is off, until a person has given it one. */
	add: (name, expression, target) => {
		const wrong = names.problem('action', name);
		if (wrong)
			throw new Error(wrong);
		uci.add(CONFIG, 'action', name);
		uci.set(CONFIG, name, 'enabled', target ? '1' : '0');
		uci.set(CONFIG, name, 'criteria', [ expression ]);
		if (target)
			uci.set(CONFIG, name, 'target', [ target ]);
		return uci.save();
	}
});
