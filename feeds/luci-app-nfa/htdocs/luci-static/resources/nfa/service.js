'use strict';
'require baseclass';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.health as health';
'require nfa.parts as parts';
'require nfa.words as words';

/* To switch the service on, and what takes effect at once: an option of its section, applied as Save & Apply does. */

/* How many changes wait to be applied. */
function waiting() {
	return uci.changes().then(changes => Object.values(changes ?? {}).reduce((sum, list) => sum + list.length, 0));
}

/* LuCI applies all changes that wait, whoever made them: a promise whether a person wants that. */
function ask_first(title, count) {
	return new Promise(resolve => {
		const yes = words.button(_('Apply all'), 'apply important', () => {
			question.close();
			resolve(true);
		});
		const question = parts.dialog(title, [
			E('p', {}, [ N_(count, '%d change is waiting to be applied, perhaps from another page. LuCI can only apply it together with this one.',
				'%d changes are waiting to be applied, perhaps from other pages. LuCI can only apply them together with this one.').format(count) ]),
			E('p', {}, [ _('To review them first, press Cancel and then Unsaved Changes at the top of the page.') ])
		], [ yes ], { closed: () => resolve(false) });
	});
}

/* Set an option of the service and apply it: LuCI loads the page again then. */
function apply(title, option, value) {
	return waiting().then(count => count ? ask_first(title, count) : true).then(yes => {
		if (!yes)
			return null;
		if (uci.get(api.CONFIG, 'main') == null)
			uci.add(api.CONFIG, 'nfa', 'main');
		uci.set(api.CONFIG, 'main', option, value);
		return uci.save().then(() => ui.changes.apply(true));
	});
}

/* Wait, some seconds at the most, until a daemon that was started answers. */
function settled(left) {
	return Promise.all([ api.status(), api.service() ]).then(([ status, service ]) => {
		if (status != null || !service.running || left === 0)
			return null;
		return new Promise(resolve => setTimeout(resolve, 500)).then(() => settled((left ?? 16) - 1));
	});
}

return baseclass.extend({
	apply: apply,
	settled: settled,

	/* Switch it on, also for the next start of the router: it is started by procd as soon as it is allowed. */
	switch_on: () => api.starts().then(starts => starts === false ? api.service_do('enable') : null)
		.then(() => health.allowed(uci.get(api.CONFIG, 'main', 'enabled'))
			? api.service_do('start').then(() => settled()) : apply(_('Switch on'), 'enabled', '1'))
});
