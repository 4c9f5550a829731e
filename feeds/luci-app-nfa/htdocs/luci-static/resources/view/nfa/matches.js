'use strict';
'require nfa.api as api';
'require nfa.flow as flow';
'require nfa.parts as parts';
'require nfa.readable as readable';
'require nfa.why as why';
'require nfa.words as words';
'require poll';
'require uci';
'require view';

/* The last decisions of the daemon, the newest first, as they come. */

const MOST = 200;

/* By the clock of the browser; the day only where it is another one. */
function moment(time) {
	if (time == null)
		return '';
	const then = new Date(time * 1000);
	return then.toDateString() == new Date().toDateString() ? then.toLocaleTimeString() : then.toLocaleString();
}

/* Decisions that look the same are told apart by counting them from the oldest on, as new ones come at the other end. */
function with_keys(matches) {
	const seen = new Map();
	for (let index = matches.length - 1; index >= 0; index--) {
		const match = matches[index];
		const name = `${match.time}\n${match.flow.digest}\n${match.actions.join('\n')}`;
		const count = (seen.get(name) ?? 0) + 1;
		seen.set(name, count);
		match.key = `${name}\n${count}`;
	}
	return matches;
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.all([ api.matches(MOST), api.hosts().catch(() => ({})), uci.load(api.CONFIG).catch(() => null) ]);
	},

	render([ matches, hosts ]) {
		this.hosts = hosts;
		this.matches = [];
		this.pausing = false;
		this.state = parts.state();
		this.filter = E('input', {
			'id': 'nfa-match-filter', 'class': 'cbi-input-text', 'type': 'text', 'autocomplete': 'off',
			'placeholder': _('Device, name or rule'), 'input': () => this.draw()
		});
		this.pause = E('button', {
			'type': 'button', 'id': 'nfa-match-pause', 'class': 'btn cbi-button', 'aria-pressed': 'false', 'click': () => this.toggle()
		}, [ _('Pause') ]);
		this.columns = [
			{ title: _('Time'), text: match => moment(match.time) },
			{ title: _('Device'), text: ({ flow: f, local_device }) => [ local_device || flow.device(f, this.hosts), flow.end(f.local_ip, f.local_port) ] },
			{ title: _('Other end'), text: ({ flow: f }) => flow.end(f.other_ip, f.other_port) },
			{ title: _('Application'), text: ({ flow: f }) => [ readable.application(flow.application(f)), flow.protocol(f) ] },
			{ title: _('Host name'), text: ({ flow: f }) => flow.hostname(f) },
			{ title: _('Rules'), text: match => match.actions },
			{ title: _('Targets'), text: match => match.targets },
			{ title: _('Explanation'), node: item => E('button', {
				'type': 'button', 'class': 'btn cbi-button cbi-button-action',
				'click': () => why.open(item(), this.hosts)
			}, [ _('Why?') ]) }
		];
		this.table = parts.table(_('Decisions'), this.columns, match => match.key,
			_('There is no decision yet. Decisions appear here when flows match.'));
		this.show(matches);
		poll.add(() => this.pausing ? Promise.resolve() : api.matches(MOST).then(answer => this.show(answer)), 3);
		return E('div', {}, [
			E('h2', {}, [ _('Matches') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('The last %d decisions: which flow matched which rule, and which targets it reached.').format(MOST)
			]),
			E('div', {}, [ parts.field(_('Filter'), this.filter), this.pause ]),
			this.state.node,
			this.table.node
		]);
	},

	toggle() {
		this.pausing = !this.pausing;
		this.pause.setAttribute('aria-pressed', String(this.pausing));
		this.pause.textContent = this.pausing ? _('Resume') : _('Pause');
		this.draw();
	},

	show(answer) {
		if (this.pausing)
			return; // an answer to what was asked before
		this.is_away = answer == null;
		if (answer)
			this.matches = with_keys(answer.matches);
		this.draw();
	},

	draw() {
		const wanted = this.filter.value.trim().toLowerCase();
		const found = wanted ? this.matches.filter(match => this.columns.some(column =>
			column.text && [].concat(column.text(match)).some(line => line.toLowerCase().includes(wanted)))) : this.matches;
		this.table.update(found, wanted && this.matches.length ? _('Nothing found.') : null);
		if (this.pausing)
			this.state.say(_('Paused. New decisions are shown when you resume.'), 'notice');
		else if (this.is_away)
			this.state.say(parts.away(), 'warning');
		else
			this.state.say(wanted ? _('%s of %s are shown.').format(words.count(found.length), words.count(this.matches.length)) : '');
	}
});
