'use strict';
'require view';
'require poll';
'require nfa.api as api';
'require nfa.lines as lines';
'require nfa.rows as rows';
'require nfa.words as words';

const EVERY = 3;
const MOST = 500;

const LEVEL_NAMES = { error: _('Error'), warning: _('Warning'), notice: _('Notice'), match: _('Match'), debug: _('Detail') };
const STYLES = { error: 'label important', warning: 'label warning', notice: 'label notice', match: 'label success', debug: 'label' };

function row(line) {
	const node = E('tr', { 'class': 'tr' }, [
		E('td', { 'class': 'td left', 'data-title': _('Time'), 'style': 'white-space:nowrap' }, [ line.time ]),
		E('td', { 'class': 'td left', 'data-title': _('Level') }, [ E('span', { 'class': STYLES[line.level] }, [ LEVEL_NAMES[line.level] ]) ]),
		E('td', { 'class': 'td left', 'data-title': _('Message'), 'style': 'overflow-wrap:anywhere;white-space:pre-wrap' }, [ line.text ])
	]);
	return { node: node, update: () => null };
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: () => api.log().catch(error => error),

	render: function(known) {
		const table = E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, [ _('Time'), _('Level'), _('Message') ].map(title =>
				E('th', { 'class': 'th left', 'scope': 'col' }, [ title ])))
		]);
		this.fill = rows.keyed(table, line => line.key, row);
		this.box = E('div', { 'style': 'max-height:65vh;overflow-y:auto', 'tabindex': '0', 'role': 'log', 'aria-label': _('Log') }, [ table ]);
		this.said = E('p', { 'role': 'status', 'aria-live': 'polite' });
		this.level = E('select', { 'id': 'nfa-log-level', 'class': 'cbi-input-select', 'change': () => this.show() }, [
			E('option', { 'value': 'error' }, [ _('Errors only') ]),
			E('option', { 'value': 'warning' }, [ _('Errors and warnings') ]),
			E('option', { 'value': 'notice' }, [ _('Notices, too') ]),
			E('option', { 'value': 'debug', 'selected': '' }, [ _('All') ])
		]);
		this.search = E('input', {
			'id': 'nfa-log-search', 'type': 'text', 'class': 'cbi-input-text', 'autocomplete': 'off', 'input': () => this.show()
		});
		this.follow = E('input', { 'id': 'nfa-log-follow', 'type': 'checkbox', 'checked': '', 'change': () => this.down() });

		this.take(known);
		poll.add(() => api.log().catch(error => error).then(found => this.take(found)), EVERY);
		setTimeout(() => this.down(), 0);
		return E('div', {}, [
			E('h2', {}, [ _('Log') ]),
			E('p', {}, [
				_('The log of the daemon. The router keeps only the latest lines, and loses them when it restarts.')
			]),
			E('div', { 'style': 'display:flex;flex-wrap:wrap;gap:.5em 1em;align-items:center' }, [
				E('div', {}, [ E('label', { 'for': 'nfa-log-level' }, [ _('Show') ]), ' ', this.level ]),
				E('div', {}, [ E('label', { 'for': 'nfa-log-search' }, [ _('containing') ]), ' ', this.search ]),
				E('div', {}, [ this.follow, ' ', E('label', { 'for': 'nfa-log-follow' }, [ _('Stay at the newest line') ]) ])
			]),
			this.said, this.box
		]);
	},

	take: function(found) {
		this.failure = found instanceof Error ? found : null;
		if (!this.failure)
			this.lines = found;
		this.show();
	},

	show: function() {
		const known = this.lines ?? [];
		const chosen = lines.chosen(known, this.level.value || 'debug', this.search.value || '').slice(-MOST);
		const times = {};
		for (const line of chosen) {
			times[line.raw] = (times[line.raw] ?? 0) + 1;
			line.key = `${times[line.raw]} ${line.raw}`;
		}
		this.fill(chosen);
		rows.hide(this.box, !chosen.length);
		rows.text(this.said, this.failure
			? _('The log cannot be read: %s').format(this.failure.message)
			: chosen.length ? N_(chosen.length, '%s line', '%s lines').format(words.count(chosen.length))
			: known.length ? _('There is no such line. Choose All and clear the text to see all lines.')
			: _('The daemon has logged nothing since the router started, or its lines were overwritten. Start it on the page Home, or set log_level to debug for more.'));
		this.down();
	},

	/* The newest line stays in sight as long as that is wanted. */
	down: function() {
		if (this.follow.checked)
			this.box.scrollTop = this.box.scrollHeight;
	}
});
