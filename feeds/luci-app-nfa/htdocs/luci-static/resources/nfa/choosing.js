'use strict';
'require baseclass';
'require dom';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.doing as doing';
'require nfa.names as names';
'require nfa.picker as picker';
'require nfa.rules as rules';
'require nfa.sentence as sentence';
'require nfa.stored as stored';

/*
 * Two fields of a rule's dialog that write more than an option: what is done (with the target that does it), and the budget before
 * that. Their getValue() gives the names that the rule names; apply() writes what those sections need.
 */

const CONFIG = api.CONFIG;
const RATE = '2mbit';
let count = 0;

/* Make a section say just this: what it said besides goes. */
function write(type, name, options) {
	if (uci.get(CONFIG, name) == null)
		uci.add(CONFIG, type, name);
	for (const old of Object.keys(uci.get(CONFIG, name)).filter(one => !one.startsWith('.') && !Object.hasOwn(options, one)))
		uci.unset(CONFIG, name, old);
	for (const [ option, value ] of Object.entries(options))
		uci.set(CONFIG, name, option, value);
}

function row(label, field, id) {
	return E('div', { 'class': 'nfa-pick' }, [ E('label', { 'for': id }, [ label ]), field ]);
}

function error() {
	return E('div', { 'role': 'alert', 'class': 'nfa-problem' });
}

const base = {
	isValid() { return !this.problem(); },
	getValidationError() { return this.problem(); },
	triggerValidation() { return false; },

	point(text) {
		dom.content(this.told, [ text ]);
		this.told.scrollIntoView({ block: 'center' });
	},

	touched() {
		dom.content(this.told, []);
		this.show();
		this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	},

	select(choices, value, label, changed) {
		return E('select', { 'class': 'cbi-input-select', 'aria-label': label, 'disabled': this.options.disabled ? '' : null, 'change': changed },
			choices.map(([ name, title ]) => E('option', { 'value': name, 'selected': name === value ? '' : null }, [ title ])));
	},

	text(value, placeholder) {
		return E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'id': `nfa-choosing-${++count}`, 'value': value, 'placeholder': placeholder,
			'disabled': this.options.disabled ? '' : null, 'input': () => this.touched()
		});
	}
};

const Doing = ui.AbstractElement.extend(Object.assign({}, base, {
	/* values: names of targets. options: rule (its name), from() (all targets to choose from). */
	__init__(values, options) {
		this.values = values;
		this.options = options;
		this.before = values.length ? doing.of_rule(values.map(name => uci.get(CONFIG, name))) : { kind: 'block' };
	},

	render() {
		const before = this.before, id = this.options.id;
		this.kind = this.select(doing.kinds(), before.kind, _('What to do'), () => this.touched());
		this.kind.id = `widget.${id}`;
		this.rate = this.text(before.rate ?? RATE, RATE);
		this.each = E('input', {
			'type': 'checkbox', 'id': `nfa-choosing-${++count}`, 'checked': before.each ? '' : null, 'disabled': this.options.disabled ? '' : null, 'change': () => this.touched()
		});
		this.network = this.text(before.network ?? '', 'wan2');
		const networks = E('datalist', { 'id': `${this.network.id}-list` });
		this.network.setAttribute('list', networks.id);
		api.routes().then(answer => networks.replaceChildren(...answer.networks.filter(({ name }) => name !== 'loopback').map(({ name, device }) =>
			E('option', { 'value': name }, [ device ])))).catch(() => {});
		const choices = this.options.from();
		const known = new Set([ ...choices.map(choice => choice.value), ...this.values ]);
		this.own = new picker.Picker(before.kind === 'own' ? this.values : [], {
			label: _('Targets'), choices, create: false, disabled: this.options.disabled,
			check: name => known.has(name) ? '' : _('a name from the list'), changed: () => this.touched()
		});
		const own = this.own.render();
		this.parts = {
			slow: E('div', {}, [ row(_('How much may pass in a second, in each direction'), this.rate, this.rate.id),
				E('label', { 'class': 'nfa-check' }, [ this.each, _('That much for each device; if off, all of them share it') ]) ]),
			wan: E('div', {}, [ row(_('Which network'), E('span', {}, [ this.network, networks ]), this.network.id) ]),
			own: E('div', { 'data-own': '' }, [ row(_('Targets'), own, this.own.input.id),
				E('a', { 'href': L.url('admin/services/nfa/targets'), 'target': '_blank', 'rel': 'noopener' }, [ _('Targets are made on a page of their own, which opens beside this one.') ]) ])
		};
		this.help = E('div', { 'class': 'cbi-value-description' });
		this.told = error();
		this.node = E('div', { 'id': id, 'class': 'nfa-choosing' }, [ this.kind, ...Object.values(this.parts), this.help, this.told ]);
		this.show();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	show() {
		const help = {
			block: _('Connections are refused at once, also those that are open.'),
			first: _('Packets get the class EF, which SQM and other queues let pass first.'),
			last: _('Packets get the class CS1: what may wait.'),
			wan: _('Later connections to the servers of what matched go there. Connections that are open stay where they are.'),
			note: _('Nothing is blocked. Matches are written to files in /tmp.')
		};
		for (const [ kind, node ] of Object.entries(this.parts))
			node.classList.toggle('hidden', kind !== this.kind.value);
		dom.content(this.help, [ help[this.kind.value] ?? '' ]);
	},

	choice() {
		const kind = this.kind?.value ?? this.before.kind;
		return {
			kind, ...(kind === 'slow' ? { rate: this.rate.value.trim(), each: this.each.checked } : {}), ...(kind === 'wan' ? { network: this.network.value.trim() } : {})
		};
	},

	problem() {
		const { kind, rate, network } = this.choice();
		const wrong = kind === 'slow' ? rules.rate(rate) : kind === 'wan' ? rules.network(network) : '';
		if (wrong)
			return _('Expected: %s').format(wrong);
		return kind === 'own' ? this.own.getValidationError() || (this.own.getValue().length ? '' : _('Choose a target.')) : '';
	},

	plan() {
		return doing.plan(this.choice(), this.options.rule, this.values, uci.sections(CONFIG));
	},

	getValue() {
		if (this.choice().kind === 'own')
			return this.own.getValue();
		return this.problem() ? this.values : [ this.plan().name ];
	},

	/* All that was chosen, to see whether it is another than before. */
	said() { return JSON.stringify([ this.choice(), this.own?.getValue() ]); },

	apply() {
		const plan = this.choice().kind === 'own' ? null : this.plan();
		if (plan?.options)
			write('target', plan.name, plan.options);
		if (plan)
			this.values = [ plan.name ];
	}
}));

const OWN = ' ';

const Budget = ui.AbstractElement.extend(Object.assign({}, base, {
	/* value: the name of a budget, or nothing. options: rule (its name). */
	__init__(value, options) {
		this.value = stored.list(value)[0] ?? '';
		this.options = options;
		const section = uci.get(CONFIG, this.value);
		// A budget that only this rule has, and that says no more than the two fields, is changed here.
		const simple = section?.['.type'] === 'budget' && Object.keys(section).every(name => name.startsWith('.') || [ 'time', 'bytes' ].includes(name));
		this.own = simple && names.policies('budget', this.value).every(rule => rule === options.rule) ? this.value : '';
		this.before = this.own ? OWN : this.value;
	},

	render() {
		const section = this.own ? uci.get(CONFIG, this.own) : {};
		const others = uci.sections(CONFIG, 'budget').filter(one => one['.name'] !== this.own).map(one => [ one['.name'], _('%s (budget %s)').format(sentence.budget(one), one['.name']) ]);
		const gone = this.value && !this.own && !others.some(([ name ]) => name === this.value) ? [ [ this.value, this.value ] ] : [];
		this.which = this.select([ [ '', _('at once') ], [ OWN, _('after some time or data a day') ], ...others, ...gone ], this.before, _('Acts'), () => this.touched());
		this.which.id = `widget.${this.options.id}`;
		this.time = this.text(section.time ?? '', '1h');
		this.bytes = this.text(section.bytes ?? '', '2GB');
		this.fields = E('div', {}, [
			row(_('Time a day, for each device'), this.time, this.time.id), row(_('Data a day, for each device'), this.bytes, this.bytes.id),
			E('div', { 'class': 'cbi-value-description' }, [ _('Such as 30m or 1h30m, 500MB or 2GB. With both, what is used up first counts. The tab Budgets has more: other amounts on some days, a week, one budget for all.') ])
		]);
		this.told = error();
		this.node = E('div', { 'id': this.options.id, 'class': 'nfa-choosing' }, [ this.which, this.fields, this.told ]);
		this.show();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	show() {
		this.fields.classList.toggle('hidden', this.which.value !== OWN);
	},

	amounts() {
		return Object.fromEntries([ [ 'time', this.time ], [ 'bytes', this.bytes ] ].map(([ name, field ]) => [ name, field.value.trim() ]).filter(([ , text ]) => text));
	},

	problem() {
		if (this.which.value !== OWN)
			return '';
		const { time, bytes } = this.amounts();
		const wrong = (time ? rules.duration(time) : '') || (bytes ? rules.size(bytes) : '');
		return wrong ? _('Expected: %s').format(wrong) : time || bytes ? '' : _('Say how much time or data a day.');
	},

	getValue() {
		return this.which.value !== OWN ? this.which.value : this.own || names.free(`${this.options.rule}_budget`, uci.sections(CONFIG).map(one => one['.name']));
	},

	said() { return JSON.stringify([ this.which.value, this.amounts() ]); },

	apply() {
		const name = this.getValue();
		if (this.which.value !== OWN || (this.own && JSON.stringify([ uci.get(CONFIG, name, 'time') ?? '', uci.get(CONFIG, name, 'bytes') ?? '' ]) === JSON.stringify([ this.amounts().time ?? '', this.amounts().bytes ?? '' ])))
			return;
		write('budget', name, this.amounts());
		this.own = name;
	}
}));

return baseclass.extend({ Doing: Doing, Budget: Budget, write: write });
