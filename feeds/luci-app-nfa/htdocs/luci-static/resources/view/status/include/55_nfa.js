'use strict';
'require baseclass';
'require nfa.api as api';
'require nfa.health as health';
'require nfa.words as words';
'require uci';

/* The tile on Status > Overview: whether it runs, whether something is wrong, and the way to the pages. */

function line(title, children) {
	return E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'width': '33%' }, [ title ]), E('td', { 'class': 'td left' }, [ ...children ]) ]);
}

return baseclass.extend({
	title: _('Flow Actions'),

	load: () => Promise.all([ api.status(), api.service(), uci.load(api.CONFIG).catch(() => null) ]),

	render: ([ status, service ]) => {
		// A login that may not ask is told nothing, rather than something wrong.
		if (api.is_refused())
			return null;
		// What to do is said on the page, beside the buttons for it.
		const lines = [ line(_('State'), [ health.state(status, service, health.allowed(uci.get(api.CONFIG, 'main', 'enabled'))).text ]) ];
		if (status != null) {
			const problems = health.problems(status, status.time, () => null);
			const active = Object.values(status.actions).filter(action => action.active).length;
			lines.push(
				line(_('netifyd'), [ health.agent(status.source).text ]),
				line(_('Policies'), [ _('%d of %d in use').format(active, Object.keys(status.actions).length + status.actions_left_out) ]),
				line(_('Matches'), [ words.count(status.flows.matched) ]),
				line(_('Problems'), [ problems.length ? problems[0].text : _('No problems.') ])
			);
		}
		return E('div', {}, [
			E('table', { 'class': 'table' }, [ ...lines ]),
			E('p', {}, [ E('a', { 'href': L.url('admin/services/nfa/home') }, [ _('Open Flow Actions') ]) ])
		]);
	}
});
