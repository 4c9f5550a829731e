'use strict';
'require baseclass';
'require ui';
'require dom';
'require nfa.api as api';
'require nfa.criteria as criteria';
'require nfa.picker as picker';
'require nfa.readable as readable';
'require nfa.words as words';

/*
 * The two fields whose values the daemon checks while they are written: what a policy matches, and exemptions.
 */

const DELAY = 500;
/* The longest that saving waits for a check, in milliseconds. The daemon checks again when it reads the configuration. */
const PATIENCE = 2000;

/* What the daemon says of a text, below the field that holds it. `ask`: a function that gives the promise of a check. */
class Check {
	constructor(ask) {
		this.ask = ask;
		this.ok = true;
		this.asked = 0;
		this.waiting = Promise.resolve();
		this.node = E('div', { 'class': 'nfa-checked', 'aria-live': 'polite' });
	}

	/* Check soon; what is asked meanwhile takes the place of this. `problem`: what is wrong already without asking. */
	soon(value, problem) {
		const turn = ++this.asked;
		window.clearTimeout(this.timer);
		if (problem || value == null) {
			this.ok = !problem;
			this.release?.();
			dom.content(this.node, [ ...(problem ? [ E('p', { 'class': 'nfa-problem' }, [ problem ]) ] : []) ]);
			return;
		}
		this.release?.();
		this.ok = true;
		this.waiting = new Promise(resolve => { this.release = resolve; });
		this.timer = window.setTimeout(() => {
			dom.content(this.node, [ E('em', {}, [ _('Checking...') ]) ]);
			this.ask(value).then(answer => {
				if (turn === this.asked)
					this.show(answer);
			}, error => {
				if (turn === this.asked) {
					this.ok = true;
					dom.content(this.node, [ E('em', {}, [ _('The check failed: %s').format(error?.message ?? error) ]) ]);
				}
			}).finally(() => {
				if (turn === this.asked)
					this.release();
			});
		}, DELAY);
	}

	show(answer) {
		const told = (answer.reports ?? []).filter(report => report.severity !== 'info');
		this.ok = answer.ok;
		dom.content(this.node, [ ...(told.length ? told.flatMap(report => [
			E('p', report.severity === 'error' ? { 'class': 'nfa-problem' } : {}, [
				E('strong', {}, [ report.severity === 'error' ? _('Error: ') : _('Note: ') ]),
				words.sentence(report.message), ' ', words.sentence(report.hint)
			]),
			...(report.excerpt ? [ E('pre', {}, [ report.excerpt.replace(/^\n+|\s+$/g, '') ]) ] : [])
		]) : [ E('span', {}, [ '\u2713 ', _('Valid: the daemon understands it.') ]) ]) ]);
	}
}

/* The choices of devices that hosts give: by MAC address, with the name that a person knows. */
function devices(hints) {
	return Object.entries(hints ?? {}).map(([ mac, hint ]) => ({
		value: mac.toUpperCase(),
		label: hint.name ? _('%s (%s)').format(hint.name, mac.toUpperCase()) : mac.toUpperCase(),
		name: hint.name,
		note: L.toArray(hint.ipaddrs)[0] ?? ''
	})).sort((one, other) => L.naturalCompare(one.label, other.label));
}

/* The networks that devices are in, by their IPv4 addresses: of /24, as nearly all are. Others are typed. */
function networks(hints) {
	const counts = {};
	for (const hint of Object.values(hints ?? {}))
		for (const network of new Set(L.toArray(hint.ipaddrs).filter(criteria.is_address).filter(address => !address.includes(':'))
			.map(address => address.replace(/[0-9]+$/, '0/24'))))
			counts[network] = (counts[network] ?? 0) + 1;
	return Object.entries(counts).map(([ value, count ]) => ({ value, label: value, note: N_(count, '%d known device', '%d known devices').format(count) }))
		.sort((one, other) => L.naturalCompare(one.label, other.label));
}

/* The devices of the configuration, by their names: with all of their addresses, IPv4 and IPv6. */
function configured(rows) {
	return rows.filter(row => row.name && criteria.usable('networks', `@${row.name}`)).map(row => ({
		value: `@${row.name}`,
		label: row.title ? _('%s (%s)').format(row.title, row.name) : row.name,
		note: row.addresses.map(one => one.address).slice(0, 2).join(', ')
	}));
}

function names(kind, rows) {
	return rows.map(row => ({
		value: row.name.toLowerCase(), label: readable.choice(kind, row.name), name: row.name.replace(/^netify\./, ''), note: row.category ? readable.category(row.category) : ''
	}))
		// Digits alone would be an id, which may be another one's.
		.filter(choice => criteria.usable('apps', choice.value) && !(/^\d+$/).test(choice.value))
		.sort((one, other) => L.naturalCompare(one.label, other.label));
}

/* Names of the running agent and of hosts, asked once a page: kind to the promise of choices. */
let lists = null;

function choices_of() {
	const hints = lists == null ? api.hints() : null;
	lists ??= {
		apps: api.apps().then(rows => names('apps', rows)),
		protocols: api.protocols().then(rows => names('protocols', rows)),
		// A category may be one of applications and of protocols.
		categories: api.categories().then(rows => names('categories', [ ...new Map(rows.map(row => [ row.name, { name: row.name } ])).values() ])),
		devices: hints.then(devices), networks: Promise.all([ api.devices(), hints ]).then(([ rows, found ]) => [ ...configured(rows), ...networks(found) ]),
		remotes: Promise.resolve([]), ports: Promise.resolve([])
	};
	return lists;
}

/* Applications, protocols and categories are searched together: a choice of any is its kind, a space, and its name. */
const WHAT = [ 'categories', 'apps', 'protocols' ];
const tagged = (kind, value) => `${kind} ${value}`;
const untagged = text => [ text.slice(0, text.indexOf(' ')), text.slice(text.indexOf(' ') + 1) ];

/* All that may be meant by "what", of which `value(kind, name)` makes what is chosen. Who is called the same is told apart by its note. */
function what_of(value) {
	const notes = { categories: _('category'), apps: _('application'), protocols: _('protocol') };
	return Promise.all(WHAT.map(kind => choices_of()[kind].then(found => found.map(choice => ({
		value: value(kind, choice.value), label: choice.label, name: choice.name, note: choice.note ? _('%s, %s').format(notes[kind], choice.note) : notes[kind]
	})), () => []))).then(lists => lists.flat());
}

/* A choice that is written out as an expression. */
function expression(kind, value) {
	return criteria.build({ ...criteria.empty(), [kind]: [ value ] });
}

const base = {
	isValid() { return this.problem() === ''; },
	getValidationError() { return this.problem(); },
	triggerValidation() { return false; },

	/* When the answer to the last check is there, or does not come. */
	settled() { return Promise.race([ this.check.waiting, new Promise(resolve => { window.setTimeout(resolve, PATIENCE); }) ]); },

	/* Show the person where it is wrong. */
	point(text) {
		if (this.check.ok)
			dom.content(this.check.node, [ E('p', { 'role': 'alert', 'class': 'nfa-problem' }, [ E('strong', {}, [ text ]) ]) ]);
		this.check.node.scrollIntoView({ block: 'center' });
	},

	changed() {
		this.node.setAttribute('data-changed', 'true');
		this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	}
};

const Criteria = ui.AbstractElement.extend(Object.assign({}, base, {
	/* values: the entries of the option. */
	__init__(values, options) {
		this.values = values;
		this.options = options;
		this.choices = values.length ? criteria.parse(values) : criteria.empty();
		this.before = this.choices && Object.assign({}, this.choices);
		this.simple = this.choices != null;
		this.check = new Check(entries => api.checkCriteria(entries));
	},

	render() {
		const id = this.options.id;
		const titles = {
			what: [ _('Applications, protocols and categories'), _('such as YouTube, BitTorrent or Games') ],
			devices: [ _('Devices'), _('a name, MAC or IP address') ],
			networks: [ _('Groups and networks'), _('a group, or 192.168.2.0/24') ], remotes: [ _('Addresses of the other end'), '203.0.113.0/24' ],
			ports: [ _('Ports of the other end'), '443, 6881-6889' ]
		};
		const pick = (kind, values, more) => {
			const [ label, placeholder ] = titles[kind];
			const field = new picker.Picker(values, { label, placeholder, disabled: this.options.disabled, ...more });
			const node = E('div', { 'class': 'nfa-pick', 'data-kind': kind }, [ field.render() ]);
			node.insertBefore(E('label', { 'for': field.input.id }, [ label ]), node.firstChild);
			this.pickers[kind] = field;
			return node;
		};
		const what = () => {
			const node = pick('what', this.chosen_what(), {
				normal: text => tagged('apps', criteria.normal('apps', text)), label_of: text => readable.choice(...untagged(text)),
				check: text => criteria.usable(...untagged(text)) ? '' : titles.what[1],
				changed: () => {
					const found = this.pickers.what.getValue().map(untagged);
					WHAT.forEach(kind => { this.choices[kind] = found.filter(([ one ]) => one === kind).map(([ , value ]) => value); });
					this.ask();
				}
			});
			what_of(tagged).then(found => this.pickers.what.setChoices(found)).catch(() => {});
			return node;
		};
		const written = kind => {
			const node = pick(kind, this.choices?.[kind] ?? [], {
				split: true, normal: text => criteria.normal(kind, text), whole: text => criteria.is_whole(kind, text),
				check: value => criteria.usable(kind, value) ? '' : titles[kind][1],
				changed: () => {
					this.choices[kind] = this.pickers[kind].getValue();
					this.ask();
				}
			});
			choices_of()[kind].then(found => this.pickers[kind].setChoices(found)).catch(() => {});
			return node;
		};
		const question = (title, fields) => E('fieldset', { 'class': 'nfa-question' }, [ E('legend', {}, [ title ]), ...fields ]);
		this.pickers = {};
		this.words = E('pre', { 'class': 'nfa-code' });
		this.lists = E('div', {}, [
			question(_('What: any of these; empty: everything'), [ what() ]),
			question(_('Whose: any of these; empty: everyone\'s'), [ written('devices'), written('networks') ]),
			E('details', { 'open': this.choices?.remotes.length || this.choices?.ports.length ? '' : null }, [
				E('summary', {}, [ _('Where to, and the expression') ]),
				question(_('Where to: any of these; empty: anywhere'), [ written('remotes'), written('ports') ]),
				E('div', {}, [ _('This will be written:') ]), this.words
			])
		]);
		this.area = E('textarea', {
			'class': 'nfa-expression', 'rows': 5, 'id': `widget.${id}`, 'aria-label': _('Expression'), 'spellcheck': 'false', 'autocapitalize': 'off',
			'disabled': this.options.disabled ? '' : null, 'input': () => this.ask()
		}, [ criteria.text(this.values) ]);
		this.free = E('div', {}, [
			this.area,
			E('div', { 'class': 'cbi-value-description' }, [ _('One expression per line, each ending with ";". A flow matches if any one of them matches. A line may also be the path of a file with expressions.') ])
		]);
		this.refusal = E('div', { 'role': 'alert', 'class': 'nfa-problem' });
		const mode = (simple, label) => E('label', {}, [ E('input', {
			'type': 'radio', 'name': `${id}.mode`, 'checked': this.simple === simple ? '' : null, 'data-simple': simple, 'change': () => this.turn(simple)
		}), label ]);
		this.modes = E('div', { 'class': 'nfa-modes', 'role': 'radiogroup', 'aria-label': _('Enter as') },
			[ mode(true, _('Choose from lists')), mode(false, _('Write an expression')) ]);
		this.node = E('div', { 'id': id }, [ this.modes, this.refusal, this.lists, this.free, this.check.node ]);
		this.show();
		if (this.values.length)
			this.check.soon(this.entries(), this.first_problem());
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	show() {
		this.lists.classList.toggle('hidden', !this.simple);
		this.free.classList.toggle('hidden', this.simple);
		for (const input of this.modes.querySelectorAll('input'))
			input.checked = (input.getAttribute('data-simple') === 'true') === this.simple;
		if (this.simple)
			dom.content(this.words, [ this.bad_choice() || this.is_nothing() ? '-' : criteria.build(this.choices) ]);
	},

	/* To lists, where the expression can be said by them; to the expression always. */
	turn(simple) {
		dom.content(this.refusal, []);
		if (simple) {
			const entries = criteria.entries(this.area.value);
			const found = entries.length ? criteria.parse(entries) : criteria.empty();
			if (found == null) {
				dom.content(this.refusal, [ _('The lists cannot show this expression. It is kept as it is.') ]);
				this.show();
				return;
			}
			this.choices = found;
			for (const [ kind, field ] of Object.entries(this.pickers))
				field.setValue(kind === 'what' ? this.chosen_what() : found[kind]);
		}
		else if (!this.bad_choice()) {
			this.area.value = criteria.text(this.entries());
		}
		this.simple = simple;
		this.show();
		this.ask();
	},

	chosen_what() {
		return WHAT.flatMap(kind => (this.choices?.[kind] ?? []).map(value => tagged(kind, value)));
	},

	/* What is wrong with the lists, before anybody is asked: also a text that was typed and not chosen. */
	first_problem() {
		const typed = this.simple ? Object.values(this.pickers ?? {}).find(field => field.rest) : null;
		return this.bad_choice() || (typed?.getValidationError() ?? '');
	},

	bad_choice() {
		if (!this.simple)
			return '';
		const wrong = criteria.KINDS.flatMap(kind => this.choices[kind].filter(value => !criteria.usable(kind, value)));
		return wrong.length ? _('"%s" cannot be used here.').format(wrong[0]) : '';
	},

	entries() {
		if (!this.simple)
			return criteria.entries(this.area.value);
		// What was not changed stays as a person wrote it.
		return this.values.length && this.before != null && criteria.same(this.before, this.choices) ? this.values : [ criteria.build(this.choices) ];
	},

	is_nothing() {
		return this.simple ? criteria.is_empty(this.choices) && !this.values.length : !this.area.value.trim();
	},

	ask() {
		this.show();
		const problem = this.first_problem();
		this.check.soon(problem || this.is_nothing() ? null : this.entries(), problem);
		this.changed();
	},

	/* What is wrong whatever the daemon says. */
	early() {
		return this.first_problem() || (this.is_nothing() ? _('Say what is meant, or whose: * as an expression stands for everything.') : '');
	},

	problem() {
		return this.early() || (this.check.ok ? '' : _('The expression is not valid.'));
	},

	getValue() {
		if (this.is_nothing() || this.first_problem())
			return [];
		const entries = this.entries();
		return criteria.text(entries) === criteria.text(this.values) ? this.values : entries;
	}
}));

const Exemptions = ui.AbstractElement.extend(Object.assign({}, base, {
	/* options.lists: names of lists of exemptions that may be named. */
	__init__(values, options) {
		this.values = values;
		this.options = options;
		this.check = new Check(entries => api.checkExemptions(entries));
	},

	render() {
		const lists = (this.options.lists ?? []).map(name => ({ value: name, label: _('the list %s').format(name), note: '' }));
		const dns = { value: "protocol == 'dns';", label: _('DNS: queries for names'), note: '' };
		const label_of = entry => {
			const choices = criteria.parse(entry), [ kind, ...more ] = WHAT.filter(one => choices?.[one].length);
			return kind && !more.length && criteria.build(choices) === expression(kind, choices[kind][0]) ? readable.choice(kind, choices[kind][0]) : entry;
		};
		this.picker = new picker.Picker(this.values, {
			label: _('Except'), disabled: this.options.disabled, placeholder: _('an application, device, address or expression'), label_of,
			choices: [ dns, ...lists ], changed: () => this.ask(),
			whole: text => criteria.is_whole('devices', text) || criteria.is_whole('networks', text)
		});
		Promise.all([ choices_of().devices, choices_of().networks, what_of(expression) ]).then(([ devices, networks, what ]) =>
			this.picker.setChoices([ dns, ...lists, ...devices, ...networks, ...what.filter(choice => choice.value !== dns.value) ])).catch(() => {});
		this.node = E('div', { 'id': this.options.id }, [ this.picker.render(), this.check.node ]);
		this.picker.input.id = `widget.${this.options.id}`;
		if (this.values.length)
			this.ask();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	ask() {
		const entries = this.picker.getValue().filter(entry => !(this.options.lists ?? []).includes(entry));
		this.check.soon(entries.length ? entries : null);
		if (this.node)
			this.changed();
	},

	problem() {
		return this.picker.getValidationError() || (this.check.ok ? '' : _('One of the exemptions is not valid.'));
	},

	getValue() {
		return this.picker.getValue();
	}
}));

return baseclass.extend({
	Criteria: Criteria,
	Exemptions: Exemptions,
	devices: devices,
	networks: networks,
	configured: configured,
	choices: choices_of
});
