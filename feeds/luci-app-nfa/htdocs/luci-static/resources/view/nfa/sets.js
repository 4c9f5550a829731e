'use strict';
'require nfa.api as api';
'require nfa.flow as flow';
'require nfa.listing as listing';
'require nfa.parts as parts';
'require nfa.words as words';
'require poll';
'require ui';
'require uci';
'require view';

/* What the daemon holds: connections whose packets are decided, elements of sets, marks and labels, with the time that is left. */

const WITHOUT = [ 'log', 'sink' ];

/* The time that is left, to the second: one is to see that it runs. */
function left(item) {
	if (item.until == null)
		return words.left(null);
	const count = Math.max(0, Math.round(item.until - performance.now() / 1000));
	if (count < 60 || count >= 3600)
		return words.seconds(count);
	return _('%d min %d s').format(Math.floor(count / 60), count % 60);
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.all([ api.hosts().catch(() => ({})), uci.load(api.CONFIG).catch(() => null) ]);
	},

	render([ hosts ]) {
		this.target = E('select', { 'id': 'nfa-set-target', 'class': 'cbi-input-select', 'change': () => this.list.first() });
		this.empty = words.button(_('Empty this target'), 'negative', () => this.ask_first(), { 'id': 'nfa-set-flush' });
		this.list = listing.create({
			label: _('Elements'),
			columns: [
				{ title: _('Target'), text: item => item.target },
				{ title: _('Set'), text: item => item.table ? _('%s in table %s').format(item.set, item.table) : item.set },
				{ title: _('Element'), text: item => item.element },
				{ title: _('Device'), text: item => flow.devices(item.element, hosts) },
				{ title: _('Rules'), text: item => item.actions ?? '' },
				{ title: _('Packets'), text: item => item.packets == null ? '' : [ words.count(item.packets), words.bytes(item.bytes) ] },
				{ title: _('Time left'), text: left }
			],
			key: item => `${item.target}\n${item.table}\n${item.set}\n${item.element}`,
			empty: _('There is no element yet. Elements appear here when flows match.'),
			name: 'elements', ask: (search, offset, limit) => this.ask(search, offset, limit), count: answer => answer.found, page: 50,
			find: _('Search addresses and ports'), id: 'nfa-set-search', away: parts.away,
			controls: [ parts.field(_('Target'), this.target), ...(L.hasViewPermission() ? [ this.empty, ' ' ] : []) ]
		});
		poll.add(() => this.list.refresh(), 3);
		poll.add(() => this.list.again(), 1);
		return this.list.refresh().then(() => E('div', {}, [
			E('h2', {}, [ _('Sets') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('What policies hold at the moment: connections whose packets are blocked, slowed down or get a class, with the packets that this happened to; elements of sets; connections that have a mark. An element expires when its timeout is over; traffic of its flow refreshes it.')
			]),
			this.list.node
		]));
	},

	/* Entries, with the time at which they end; and the list of targets with their counts. */
	ask(search, offset, limit) {
		const entries = () => api.elements(this.target.value, search ?? '', offset, limit);
		return Promise.all([ api.all_targets(), entries() ]).then(([ targets, answer ]) => {
			if (targets != null)
				this.choose(targets.filter(target => !WITHOUT.includes(target.type)));
			this.empty.disabled = targets == null || !this.target.value || this.empty.classList.contains('spinning');
			this.empty.title = this.target.value ? '' : _('Choose a target first.');
			// A target that has gone with a reload was asked for: now all are chosen.
			return answer ?? (targets == null ? null : entries());
		}).then(answer => {
			const now = performance.now() / 1000;
			for (const item of answer?.elements ?? [])
				item.until = item.left == null ? null : now + item.left;
			return answer;
		});
	},

	/* The list of targets, as it is now. A list that is the same is left alone: it may be open. */
	choose(targets) {
		const options = [ [ '', _('all') ] ].concat(targets.map(target =>
			[ target.name, _('%s (%s)').format(target.name, words.count(target.elements)) ]));
		const nodes = this.target.options;
		if (nodes.length == options.length && options.every(([ value ], index) => nodes[index].value === value)) {
			options.forEach(([ , title ], index) => {
				if (nodes[index].text !== title)
					nodes[index].text = title;
			});
			return;
		}
		const chosen = this.target.value;
		this.target.replaceChildren(...options.map(([ value, title ]) => E('option', { 'value': value }, [ title ])));
		this.target.value = options.some(([ value ]) => value === chosen) ? chosen : '';
	},

	ask_first() {
		const name = this.target.value;
		const yes = words.button(_('Empty'), 'negative important', () => api.flush(name).then(answer => {
			question.close();
			ui.addTimeLimitedNotification(null, [
				E('p', {}, [ _('Removed from %s: %s. Live flows are added again with their next traffic.').format(name, words.count(answer.withdrawn)) ])
			], 8000, 'info');
			return this.list.first();
		}));
		const question = parts.dialog(_('Empty a target'), [
			E('p', {}, [ _('Remove all elements from the sets of %s? What they block, mark or prioritise is no longer blocked, marked or prioritised, until traffic adds it again.').format(name) ])
		], [ yes ]);
	}
});
