'use strict';
'require nfa.api as api';
'require nfa.flow as flow';
'require nfa.parts as parts';
'require nfa.words as words';
'require poll';
'require uci';
'require view';

/* What the daemon holds in the sets, or has marked and labelled, with the time that is left. */

const PAGE = 50;
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
		return Promise.all([ api.all_targets(), api.elements('', '', 0, PAGE), api.hosts().catch(() => ({})), uci.load(api.CONFIG).catch(() => null) ]);
	},

	render([ targets, elements, hosts ]) {
		this.hosts = hosts;
		this.offset = 0;
		this.asked = 0;
		this.may_write = L.hasViewPermission();
		this.state = parts.state();
		this.target = E('select', { 'id': 'nfa-set-target', 'class': 'cbi-input-select', 'change': () => this.turn_to(0) });
		this.search = E('input', {
			'id': 'nfa-set-search', 'class': 'cbi-input-text', 'type': 'search', 'maxlength': 100,
			'placeholder': _('Address or port'), 'input': () => this.typed()
		});
		this.empty = words.button(_('Empty this target'), 'negative', () => this.ask(), { 'id': 'nfa-set-flush' });
		this.table = parts.table(_('Entries'), [
			{ title: _('Target'), text: item => item.target },
			{ title: _('Set'), text: item => item.table ? _('%s in table %s').format(item.set, item.table) : item.set },
			{ title: _('Entry'), text: item => item.element },
			{ title: _('Device'), text: item => flow.devices(item.element, this.hosts) },
			{ title: _('Time left'), text: left }
		], item => `${item.target}\n${item.table}\n${item.set}\n${item.element}`,
			_('There is no entry. Entries come when a device does something that a policy is about.'));
		this.before = E('button', {
			'type': 'button', 'class': 'btn cbi-button', 'click': () => this.turn_to(this.offset - PAGE)
		}, [ _('Previous page') ]);
		this.after = E('button', {
			'type': 'button', 'class': 'btn cbi-button', 'click': () => this.turn_to(this.offset + PAGE)
		}, [ _('Next page') ]);
		this.show(targets, elements);
		poll.add(() => this.look(), 3);
		poll.add(() => this.table.again(), 1);
		return E('div', {}, [
			E('h2', {}, [ _('Sets') ]),
			E('div', { 'class': 'cbi-map-descr' }, [
				_('What the policies have put into sets of the firewall, and which connections they have marked. An entry goes when its time is over; traffic of the same kind gives it new time.')
			]),
			E('div', {}, [
				parts.field(_('Target'), this.target), parts.field(_('Search'), this.search),
				...(this.may_write ? [ this.empty ] : [])
			]),
			this.state.node,
			this.table.node,
			E('div', { 'class': 'right' }, [ this.before, ' ', this.after ])
		]);
	},

	typed() {
		clearTimeout(this.timer);
		this.timer = setTimeout(() => this.turn_to(0), 250);
	},

	turn_to(offset) {
		this.offset = Math.max(0, offset);
		return this.look();
	},

	/* Ask and show. An answer that comes after that to a later question is not shown. */
	look() {
		const number = ++this.asked;
		return Promise.all([
			api.all_targets(), api.elements(this.target.value, this.search.value.trim(), this.offset, PAGE)
		]).then(([ targets, elements ]) => {
			if (number === this.asked)
				this.show(targets, elements);
		});
	},

	show(targets, elements) {
		const is_there = targets != null;
		this.empty.disabled = !is_there || !this.target.value || this.empty.classList.contains('spinning');
		this.empty.title = this.target.value ? '' : _('Choose a target first.');
		if (!is_there) {
			this.state.say(parts.away(), 'warning');
			return;
		}
		this.choose(targets.filter(target => !WITHOUT.includes(target.type)));
		if (elements == null)
			return; // the target has gone with a reload; the next poll asks for all
		if (!elements.elements.length && this.offset) {
			this.offset = 0; // what was on this page is over
			return;
		}
		const now = performance.now() / 1000;
		this.table.update(elements.elements.map(item =>
			Object.assign(item, { until: item.left == null ? null : now + item.left })));
		this.before.disabled = !this.offset;
		this.after.disabled = !elements.more;
		const last = this.offset + elements.elements.length;
		if (!elements.found)
			this.state.say(this.search.value ? _('Nothing is found.') : '');
		else
			this.state.say(_('%s to %s of %s').format(
				words.count(this.offset + 1), words.count(last), words.count(elements.found)));
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

	ask() {
		const name = this.target.value;
		const no = E('button', { 'type': 'button', 'class': 'btn cbi-button', 'click': () => question.close() }, [ _('Cancel') ]);
		const yes = words.button(_('Empty'), 'negative important', () => api.flush(name).then(answer => {
			question.close();
			return this.turn_to(0).then(() => this.state.say(
				_('Taken out of %s: %s. Connections that go on come back with their next traffic.').format(
					name, words.count(answer.withdrawn))));
		}));
		const question = parts.dialog(_('Empty a target'), [
			E('p', {}, [ _('Take everything out of the sets of %s? What is being blocked, marked or preferred by them is not any more, until traffic puts it back.').format(name) ])
		], [ no, ' ', yes ]);
	}
});
