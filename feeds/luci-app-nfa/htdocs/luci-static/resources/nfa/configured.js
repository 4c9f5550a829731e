'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';
'require nfa.health as health';

/*
 * Pages that change the configuration, where the configuration cannot be read: nothing to change then, but what is wrong and
 * where.
 */

/* The page that stands for the other one. `status`: of the daemon, or null. */
function page(title, error, status) {
	const reports = (status?.policy?.reports ?? []).map(found => health.report(found, () => null)).filter(report => report.severity === 'error');
	return E('div', { 'class': 'cbi-map' }, [
		E('h2', {}, [ title ]),
		E('div', { 'class': 'alert-message warning', 'role': 'alert' }, [
			E('p', {}, [ E('strong', {}, [ _('The configuration cannot be read.') ]) ]),
			E('p', {}, [ _('It cannot be fixed here: log in to the router with SSH and fix the file /etc/config/%s. The command nfa check shows the line.').format(api.CONFIG) ]),
			...reports.map(report =>
				E('p', { 'style': 'overflow-wrap:anywhere' }, [ report.place ? _('%s: %s').format(report.place, report.text) : report.text ])
			),
			...(reports.length ? [] : [ E('p', {}, [ _('LuCI says: %s').format(error?.message ?? error) ]) ])
		])
	]);
}

return baseclass.extend({
	/*
	 * A view whose load() is `load` once the configuration is read, and whose render() is `render` then. `title`: of the page
	 * when it is not.
	 */
	view: (title, work) => Object.assign({}, work, {
		load() {
			return uci.load(api.CONFIG).then(() => work.load.call(this).then(data => ({ data })),
				error => api.status().then(status => ({ error, status })));
		},

		render(found) {
			if ('data' in found)
				return work.render.call(this, found.data);
			this.handleSave = this.handleSaveApply = this.handleReset = null;
			return page(title, found.error, found.status);
		}
	})
});
