'use strict';
'require baseclass';
'require nfa.api as api';
'require nfa.health as health';
'require nfa.words as words';

/* The tile on Status > Overview: whether it runs, whether something is wrong, and the way to the pages. */

function line(title, children) {
	return E('tr', { 'class': 'tr' }, [ E('td', { 'class': 'td left', 'width': '33%' }, [ title ]), E('td', { 'class': 'td left' }, [ ...children ]) ]);
}

return baseclass.extend({
	title: _('Flow Actions'),

	load: () => Promise.all([ api.status(), api.service() ]),

	render: ([ status, service ]) => {
		const state = health.state(status, service, true);
		const lines = [ line(_('State'), [ E('div', {}, [ state.text ]), E('div', { 'style': 'opacity:.8' }, [ state.advice ]) ]) ];
		if (status != null) {
			const problems = health.problems(status, status.time, () => null);
			const active = Object.values(status.actions).filter(action => action.active).length;
			lines.push(
				line(_('netifyd'), [ health.agent(status.source).text ]),
				line(_('Policies'), [ _('%d of %d in use').format(active, Object.keys(status.actions).length + status.actions_left_out) ]),
				line(_('Matches'), [ words.count(status.flows.matched) ]),
				line(_('What to look at'), [ problems.length ? problems[0].text : _('Nothing is wrong.') ])
			);
		}
		return E('div', {}, [
			E('table', { 'class': 'table' }, [ ...lines ]),
			E('p', {}, [ E('a', { 'href': L.url('admin/services/nfa/overview') }, [ _('Open Flow Actions') ]) ])
		]);
	}
});
