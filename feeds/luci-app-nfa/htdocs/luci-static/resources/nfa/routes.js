'use strict';
'require baseclass';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.parts as parts';
'require nfa.words as words';

/*
 * What netifd has to know of other WANs: sections of /etc/config/network. The daemon says what is missing there (docs/bus.md, routes);
 * a person sees it before it is written. Who may change nfa's configuration may not change the network by that alone.
 */

const NETWORK = 'network';

const OPTIONS = [ 'ip4table', 'ip6table', 'sourcefilter' ];

/* Whether a change is one that nfa makes. The daemon has fewer rights than a person here: it must not borrow them for more. */
function is_ours({ section, type, option }) {
	return (/^\w+$/).test(section) && (type === 'interface' ? OPTIONS.includes(option)
		: [ 'rule', 'rule6' ].includes(type) && section.startsWith('nfa_') && (/^\w*$/).test(option));
}

/* Changes by their section, in order: { name, type, made, gone, options: [ [ name, value ] ] }. */
function sections(changes) {
	const found = new Map();
	const strange = changes.find(change => !is_ours(change));
	if (strange)
		throw new Error(_('This is nothing that another WAN needs: %s').format(`${strange.section}.${strange.option}`));
	for (const { section, type, option, value } of changes) {
		const one = found.get(section) ?? { name: section, type, made: false, gone: false, options: [] };
		found.set(section, one);
		if (option)
			one.options.push([ option, value ]);
		else
			one[value == null ? 'gone' : 'made'] = true;
	}
	return [ ...found.values() ];
}

/* The changes as lines of the file, for people to look at. */
function text(changes) {
	return [ `# /etc/config/${NETWORK}`, ...sections(changes).map(({ name, type, gone, options }) => gone
		? `# ${_('deleted: %s').format(`config ${type} '${name}'`)}\n`
		: [ `config ${type} '${name}'`, ...options.map(([ option, value ]) => value == null
			? `\t# ${_('deleted: %s').format(`option ${option}`)}` : `\toption ${option} '${value}'`), '' ].join('\n')) ].join('\n').trimEnd();
}

/* Make the changes, which wait then as LuCI's changes do. */
function stage(changes) {
	return uci.load(NETWORK).then(() => {
		for (const { name, type, made, gone, options } of sections(changes)) {
			if (gone) {
				uci.remove(NETWORK, name);
				continue;
			}
			if (made && uci.get(NETWORK, name) == null)
				uci.add(NETWORK, type, name);
			for (const [ option, value ] of options)
				if (value == null)
					uci.unset(NETWORK, name, option);
				else
					uci.set(NETWORK, name, option, value);
		}
		return uci.save();
	});
}

const FORBIDDEN = () => _('This login may not change networks. Somebody who may can do it on the page Home, or with the command nfa route apply.');

/* How many changes wait to be applied. */
function waiting() {
	return uci.changes().then(changes => Object.values(changes ?? {}).reduce((sum, list) => sum + list.length, 0));
}

return baseclass.extend({
	text: text,
	stage: stage,
	forbidden: FORBIDDEN,

	/* Whether this login may. */
	allowed: () => api.may_write(NETWORK),

	/* Show what is missing, and write it when a person says so. */
	open: () => Promise.all([ api.routes(), api.may_write(NETWORK), waiting() ]).then(([ { changes }, allowed, count ]) => {
		const write = words.button(_('Write and apply'), 'apply important', () => stage(changes).then(() => {
			question.close();
			return ui.changes.apply(true);
		}));
		write.disabled = !allowed || !changes.length;
		const question = parts.dialog(_('Routes of another WAN'), changes.length ? [
			E('p', {}, [ _('The network keeps the routes of each WAN. So that marked connections find their way, this has to be in its configuration:') ]),
			E('pre', { 'class': 'nfa-copy', 'tabindex': 0 }, [ text(changes) ]),
			E('p', {}, [ _('If the router cannot be reached afterwards, LuCI undoes it by itself.') ]),
			...(allowed ? [] : [ E('p', { 'class': 'alert-message warning' }, [ FORBIDDEN() ]) ]),
			...(allowed && count ? [ E('p', {}, [ N_(count, '%d change is waiting to be applied, perhaps from another page. LuCI can only apply it together with this one.',
				'%d changes are waiting to be applied, perhaps from other pages. LuCI can only apply them together with this one.').format(count) ]) ] : [])
		] : [ E('p', {}, [ _('Nothing is missing.') ]) ], [ write ]);
	})
});
