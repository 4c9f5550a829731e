'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';
'require nfa.bars as bars';
'require nfa.called as called';
'require nfa.limits as limits';
'require nfa.rows as rows';
'require nfa.used as used';
'require nfa.words as words';

/* A device's own view: what it used today and this week, by application and hour, the rules about it, and what it has left. */

const MOST = 10;

function part(title, ...nodes) {
	return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]), ...nodes ]);
}

/* The bars of applications. */
function of_applications(items) {
	return items.filter(({ down, up }) => down + up > 0).map(item => ({
		key: item.application, name: called.application(item.application), amount: item.down + item.up, text: called.amounts(item),
		note: item.minutes ? words.seconds(item.minutes * 60) : ''
	}));
}

/* The hours of a day, from an answer by hour: by the router's clock, which began the day. Those to come are empty. */
function hours_of(answer) {
	const known = new Map((answer?.periods ?? []).map(({ since, down, up }) => [ Math.round((since - answer.since) / 3600), { down, up } ]));
	return Array.from({ length: Math.max(24, known.size) }, (none, hour) => {
		const { down, up } = known.get(hour) ?? { down: 0, up: 0 };
		return { label: String(hour), amount: down + up, text: called.amounts({ down, up }) };
	});
}

return baseclass.extend({
	/* `key`: its MAC address, or its name; `hosts`: of api.hosts(). Returns { node, refresh() }. */
	create: (key, hosts, readonly) => {
		const sections = type => uci.sections(api.CONFIG, type);
		const name = item => called.device(item, sections('device'), hosts);
		const mac = key.includes(':') ? key : '';
		const title = E('h3', { 'tabindex': -1 }, [ name({ device: key, mac }) ]);
		const parts = { today: bars.list(_('Today, by application'), MOST), hours: bars.columns(_('Today, by hour')), week: bars.list(_('The last 7 days, by application'), MOST) };
		const left = limits.budgets(readonly, name, () => refresh());
		const budgets = part(_('Budgets'), left.node);
		const addresses = [ key, ...Object.keys(hosts).filter(address => mac && hosts[address] === hosts[mac.toUpperCase()]) ];
		const rules = used.concerning([ 'device', 'group', 'action' ].flatMap(sections), addresses);
		rows.hide(budgets, true);

		function refresh() {
			const ask = (since, by) => api.usage({ since, device: key, by });
			return Promise.all([ ask('today'), ask('7d'), ask('today', 'hour'), api.budgets(key, 20) ]).then(([ today, week, hours, has ]) => {
				const [ one ] = today?.devices ?? [];
				if (one)
					rows.text(title, name(one));
				parts.today.show(of_applications(one?.applications ?? []), _('Nothing today.'));
				parts.week.show(of_applications(week?.devices[0]?.applications ?? []), _('Nothing this week.'));
				parts.hours.show(hours_of(hours));
				left.show(has?.budgets ?? []);
				rows.hide(budgets, !has?.budgets.length);
			});
		}

		return {
			node: E('div', {}, [
				E('p', {}, [ E('a', { 'class': 'btn cbi-button', 'href': '#' }, [ _('All devices') ]) ]), title,
				E('p', {}, [ mac && title.textContent !== mac ? _('MAC address %s').format(mac) : '' ]),
				part(_('Today'), parts.today.node, parts.hours.node), part(_('The last 7 days'), parts.week.node),
				part(_('Rules about it'), rules.length ? E('ul', {}, rules.map(rule =>
					E('li', {}, [ E('a', { 'href': L.url('admin/services/nfa/policies') + `#edit=${rule}` }, [ rule ]) ])))
					: E('p', {}, [ _('No rule names it. Rules for all devices hold for it, too.') ])),
				budgets
			]),
			refresh: refresh,
			focus: () => title.focus()
		};
	}
});
