'use strict';
'require baseclass';
'require form';
'require uci';
'require nfa.api as api';
'require nfa.checked as checked';
'require nfa.choosing as choosing';
'require nfa.names as names';
'require nfa.picker as picker';
'require nfa.stored as stored';
'require nfa.week as week';

/*
 * Options of nfa.fields as fields of LuCI's forms. What a person does not change is not written: a yes that is spelt "on", an
 * option that is called by its other name, and a list in one text stay as they are.
 */

function written(section_id, field) {
	return stored.written(uci.get(api.CONFIG, section_id), [ field.name, ...field.other ]);
}

function raw(section_id, field) {
	return uci.get(api.CONFIG, section_id, written(section_id, field));
}

function entries(section_id, field) {
	return stored.list(raw(section_id, field));
}

function listed(value, field) {
	const given = stored.list(value);
	return field.split ? given.flatMap(text => text.split(field.split)).filter(text => text) : given;
}

function read(section_id, field) {
	const value = raw(section_id, field);
	if (value == null)
		return null;
	if (field.kind === 'list' || field.kind === 'picks')
		return listed(value, field);
	const text = stored.list(value).join(' ');
	if (field.kind === 'flag')
		return stored.yes(text) ? '1' : '0';
	if (field.kind === 'select')
		return (field.normal ?? (one => one))(text.trim().toLowerCase());
	return text;
}

function same(one, other) {
	return JSON.stringify(one ?? null) === JSON.stringify(other ?? null);
}

/* A field that is not touched as long as it says what the configuration says. */
const storing = {
	load(section_id) {
		return read(section_id, this.field);
	},

	write(section_id, value) {
		const name = written(section_id, this.field);
		for (const other of [ this.field.name, ...this.field.other ])
			if (other !== name)
				uci.unset(api.CONFIG, section_id, other);
		uci.set(api.CONFIG, section_id, name, value);
	},

	remove(section_id) {
		// Another field of this section may write the same option, and be the one that shows.
		if (this.section.children.some(one => one !== this && one.field?.name === this.field.name && one.isActive(section_id)))
			return;
		for (const name of [ this.field.name, ...this.field.other ])
			uci.unset(api.CONFIG, section_id, name);
	}
};

const Flag = form.Flag.extend(Object.assign({
	parse(section_id) {
		if (!this.isActive(section_id))
			return Promise.resolve(this.retain ? null : this.remove(section_id));
		const value = this.formvalue(section_id);
		if (value !== (this.cfgvalue(section_id) ?? this.default))
			this.write(section_id, value);
		return Promise.resolve();
	}
}, storing));

const Value = form.Value.extend(storing);
const Select = form.ListValue.extend(Object.assign({
	/* A default is not written as long as nothing else was chosen. */
	write(section_id, value) {
		if (this.cfgvalue(section_id) != null || value !== this.default)
			storing.write.call(this, section_id, value);
	}
}, { load: storing.load, remove: storing.remove }));
const List = form.DynamicList.extend(storing);

/* A field whose widget is one of ours: `widget(section_id, values, options)` makes it. */
const Own = form.Value.extend(Object.assign({
	renderWidget(section_id, index, value) {
		return this.widget(section_id, value, { id: this.cbid(section_id), disabled: this.map.readonly === true }).render();
	},

	formvalue(section_id) {
		return this.getUIElement(section_id)?.getValue() ?? null;
	},

	parse(section_id) {
		const element = this.isActive(section_id) ? this.getUIElement(section_id) : null;
		const early = element?.early?.() ?? '';
		return Promise.resolve(early ? null : element?.settled?.()).then(() => {
			if (element != null && (early || !element.isValid())) {
				const wrong = early || element.getValidationError();
				element.point?.(wrong);
				throw new TypeError(`${_('Option "%s" contains an invalid input value.').format(this.title)} ${wrong}`);
			}
			if (element == null)
				return form.Value.prototype.parse.call(this, section_id);
			const value = element.getValue();
			const empty = !stored.list(value).length;
			if (empty && !this.rmempty) {
				element.point?.(_('Choose something here.'));
				throw new TypeError(_('Option "%s" must not be empty.').format(this.title));
			}
			if (empty && this.cfgvalue(section_id) != null)
				this.remove(section_id);
			else if (!empty && !same(this.cfgvalue(section_id), value))
				this.write(section_id, value);
			return null;
		});
	}
}, storing));

/* A field whose widget writes sections of its own, once it is right. */
const Applied = Own.extend({
	parse(section_id) {
		const element = this.isActive(section_id) ? this.getUIElement(section_id) : null;
		element?.finish?.();
		return Own.prototype.parse.call(this, section_id).then(done => {
			element?.apply();
			return done;
		});
	}
});

const Picks = Own.extend({
	widget(section_id, value, options) {
		return new picker.Picker(value ?? [], Object.assign(options, {
			label: this.title, create: false, placeholder: this.field.preset,
			choices: this.field.choices.map(([ name, label ]) => ({ value: name, label, note: label === name ? '' : name }))
		}));
	}
});

const CLASSES = { flag: Flag, text: Value, secret: Value, select: Select, list: List, picks: Picks };

function expected(field, value) {
	const wrong = value === '' || value == null ? '' : field.rule(String(value));
	return wrong ? _('Expected: %s').format(wrong) : true;
}

/* A switch in the row of a grid: it holds at once, also when another row is edited before the page is saved. */
function inline(section, field) {
	const option = add(section, field, {});
	option.title = _('On');
	option.editable = true;
	option.renderWidget = function(section_id, ...given) {
		const node = form.Flag.prototype.renderWidget.call(this, section_id, ...given);
		node.querySelector?.('input[type=checkbox]')?.setAttribute('aria-label', _('%s: on').format(section_id));
		return node;
	};
	option.modalonly = false;
	option.onchange = function(event, section_id, value) { this.write(section_id, value); };
	return option;
}

/*
 * Add a field. more: tab; as, its name in the form where it is not the option's; only, conditions of form.Value.depends;
 * type, another class than that of its kind; check(section_id, value), asked after the field's own rule.
 */
function add(section, field, more) {
	const { tab, as, only, type, check } = more ?? {};
	const given = [ type ?? CLASSES[field.kind], as ?? field.name, field.title, field.help ];
	const option = tab ? section.taboption(tab, ...given) : section.option(...given);
	option.field = field;
	if (field.kind === 'flag' || field.kind === 'select')
		option.default = field.preset;
	else if (field.preset)
		option.placeholder = field.preset;
	if (field.kind === 'secret')
		option.password = true;
	if (field.kind === 'select')
		field.choices.forEach(([ value, label ]) => option.value(value, label));
	option.rmempty = !field.required;
	// What another type of target needs stays where it is, until the type is changed and saved.
	for (const condition of only ?? field.only ?? [])
		option.depends(condition);
	if (field.rule || check)
		option.validate = (section_id, value) => {
			const wrong = field.rule ? expected(field, value) : true;
			return wrong === true && check ? check(section_id, value) : wrong;
		};
	return option;
}

/* The values of the fields of a section that show, by the names of their options; a preset where there is none. */
function values(section, section_id) {
	const found = {};
	for (const option of section.children)
		if (option.field && option.isActive(section_id)) {
			const value = option.formvalue(section_id);
			const preset = option.field.split ? listed(option.field.preset, option.field) : option.field.preset;
			found[option.field.name] = !stored.list(value).length ? preset : value;
		}
	return found;
}

/*
 * What several options together must be: `rule(values, section_id)` gives '' or what is wrong, which is shown at the end of the
 * section while it is so, and keeps it from being saved.
 */
function verdict(section, name, conditions, rule, tab) {
	const given = [ form.DummyValue, name, ' ' ];
	const option = tab ? section.taboption(tab, ...given) : section.option(...given);
	const nodes = {};
	let told = null;
	conditions.forEach(condition => option.depends(condition));
	option.renderWidget = section_id => (nodes[section_id] = E('div', { 'role': 'alert', 'class': 'nfa-problem' }));
	const judge = section_id => {
		const wrong = rule(values(section, section_id), section_id);
		if (nodes[section_id] && wrong !== told)
			nodes[section_id].textContent = wrong;
		told = wrong;
		return wrong;
	};
	option.checkDepends = function(section_id) {
		const active = form.DummyValue.prototype.checkDepends.call(this, section_id);
		if (active)
			judge(section_id);
		return active;
	};
	option.parse = section_id => {
		const wrong = option.isActive(section_id) ? judge(section_id) : '';
		return wrong ? Promise.reject(new TypeError(wrong)) : Promise.resolve();
	};
	return option;
}

/* A column of a grid that only shows something: text(section_id). */
function column(section, name, title, text) {
	const option = section.option(form.DummyValue, name, title);
	option.modalonly = false;
	option.textvalue = section_id => E('span', {}, [ text(section_id) ]);
	return option;
}

return baseclass.extend({
	column: column,
	verdict: verdict,
	Value: Value,
	Select: Select,
	Own: Own,
	add: add,
	inline: inline,
	raw: raw,
	entries: entries,
	read: read,

	/* A field whose widget is the criteria's, or that of exemptions. `lists()`: names of lists of exemptions. */
	Criteria: Own.extend({
		load(section_id) { return entries(section_id, this.field); },
		widget: (section_id, value, options) => new checked.Criteria(value ?? [], options)
	}),
	Exemptions: Own.extend({
		load(section_id) { return entries(section_id, this.field); },
		widget(section_id, value, options) {
			return new checked.Exemptions(value ?? [], Object.assign(options, { lists: this.lists?.() ?? [] }));
		}
	}),

	/* What a rule does; `from()`: the targets that there are. And the budget before that. Both write the sections that they need. */
	Doing: Applied.extend({
		load(section_id) { return entries(section_id, this.field); },
		widget(section_id, value, options) {
			return new choosing.Doing(value ?? [], Object.assign(options, { rule: section_id, from: this.from }));
		}
	}),
	Hours: Applied.extend({
		load(section_id) { return entries(section_id, this.field); },
		widget(section_id, value, options) {
			const hours = new week.Hours(value ?? [], Object.assign(options, {
				windows: this.windows(),
				named: taken => names.free(`${section_id}_hours`, taken.concat(uci.sections(api.CONFIG).map(section => section['.name'])))
			}));
			hours.apply = () => Object.entries(hours.made()).forEach(([ name, options ]) => choosing.write('time_of_day', name, options));
			return hours;
		}
	}),
	Budget: Applied.extend({
		widget: (section_id, value, options) => new choosing.Budget(value ?? '', Object.assign(options, { rule: section_id }))
	}),

	/* Several of the sections of a type, by their names. `from()`: a list of { value, label, note }. What is stored stays. */
	Names: Own.extend({
		load(section_id) { return entries(section_id, this.field); },
		widget(section_id, value, options) {
			const choices = this.from();
			const known = new Set([ ...choices.map(choice => choice.value), ...(value ?? []) ]);
			return new picker.Picker(value ?? [], Object.assign(options, {
				label: this.title, choices, placeholder: this.placeholder, create: false,
				check: name => known.has(name) ? '' : _('a name from the list')
			}));
		}
	}),

	/* The names of all sections of a type. */
	names: type => uci.sections(api.CONFIG, type).map(section => section['.name'])
});
