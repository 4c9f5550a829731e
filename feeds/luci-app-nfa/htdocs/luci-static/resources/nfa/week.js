'use strict';
'require baseclass';
'require ui';
'require dom';
'require nfa.hours as hours';
'require nfa.picker as picker';
'require nfa.rows as rows';

/*
 * A week of hours to look at, and the fields that go with it: the days of a schedule, the schedules of a policy.
 */

/* The week in which an action with these windows is applied, as a table: full hours, and hours of which a part is. */
function table(windows) {
	picker.style();
	const week = hours.week(windows);
	const states = [ _('no'), _('partly'), _('yes') ];
	const head = E('tr', {}, [ E('td', { 'style': 'border:0' }), ...[ 0, 6, 12, 18 ].map(hour =>
		E('th', { 'scope': 'colgroup', 'colspan': 6 }, [ hours.clock(hour * 3600) ])) ]);
	return E('div', {}, [
		E('table', { 'class': 'nfa-week', 'role': 'img', 'aria-label': windows.length
			? _('The week: %s').format(windows.map(hours.words).join('; ')) : _('The week: always') }, [
			E('colgroup', {}, [ E('col'), ...Array.from({ length: 24 }, () => E('col')) ]),
			E('thead', {}, [ head ]),
			E('tbody', {}, week.map((row, day) => E('tr', {}, [
				E('th', { 'scope': 'row' }, [ hours.names()[day] ]),
				...row.map((state, hour) => E('td', {
					'class': [ '', 'nfa-part', 'nfa-on' ][state],
					'title': _('%s %s: %s').format(hours.names()[day], hours.clock(hour * 3600), states[state])
				}))
			])))
		]),
		E('div', { 'class': 'nfa-legend' }, [
			E('span', { 'class': 'nfa-on', 'style': 'margin-left:0' }), _('applied'), E('span', { 'class': 'nfa-part' }), _('for a part of the hour'), E('span'), _('not applied'),
			E('div', {}, [ windows.length ? windows.map(hours.words).join('; ') : _('Always.') ])
		])
	]);
}

const Days = ui.AbstractElement.extend({
	__init__(values, options) {
		this.days = hours.days(values);
		this.options = options;
	},

	render() {
		this.boxes = hours.names().map((name, day) => E('input', {
			'type': 'checkbox', 'checked': !this.days.length || this.days.includes(day) ? '' : null,
			'disabled': this.options.disabled ? '' : null,
			'change': () => this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }))
		}));
		this.node = E('div', { 'id': this.options.id, 'class': 'nfa-days', 'role': 'group', 'aria-label': _('Days') },
			this.boxes.map((box, day) => E('label', {}, [ box, hours.names()[day] ])));
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	chosen() {
		return hours.KEYS.filter((key, day) => this.boxes[day].checked);
	},

	isValid() { return this.chosen().length > 0; },
	getValidationError() { return this.isValid() ? '' : _('Choose a day.'); },
	triggerValidation() { return false; },

	/* No day at all is every day. */
	getValue() {
		const found = this.chosen();
		return found.length === 7 && !this.days.length ? [] : found;
	}
});

const Hours = ui.AbstractElement.extend({
	/*
	 * values: names of schedules. options.windows: name to window. options.named(): the name of a schedule that is made here; without it
	 * none can be.
	 */
	__init__(values, options) {
		this.options = options;
		this.drafts = {};
		this.windows = { ...options.windows };
		this.picker = new picker.Picker(values, {
			id: null, create: false, label: _('Schedules'), placeholder: _('always'), disabled: options.disabled,
			check: name => this.windows[name] ? '' : _('the name of a schedule'),
			changed: () => this.show()
		});
		this.picker.setChoices(this.choices());
	},

	choices() {
		return Object.entries(this.windows).map(([ name, window ]) => ({ value: name, label: name, note: hours.words(window) }));
	},

	render() {
		this.preview = E('div');
		this.place = E('div');
		this.more = E('button', {
			'type': 'button', 'class': 'btn cbi-button cbi-button-add', 'disabled': this.options.disabled ? '' : null, 'click': () => this.ask()
		}, [ _('New hours') ]);
		this.node = E('div', { 'id': this.options.id }, [ this.picker.render(), ...(this.options.named ? [ this.more ] : []), this.place, this.preview ]);
		this.picker.input.id = `widget.${this.options.id}`;
		this.show();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	/* Ask for hours that no schedule has yet. */
	ask() {
		const id = `${this.options.id}.new`;
		this.days = new Days([], {});
		const time = (name, value) => E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': `${id}.${name}`, 'value': value, 'style': 'max-width:8em' });
		const from = time('from', '21:00'), until = time('until', '06:30');
		const told = E('div', { 'role': 'alert', 'class': 'nfa-problem' });
		/* Take them, as far as they are right. */
		this.finish = () => {
			if (!this.asking)
				return;
			const good = this.days.isValid() && hours.seconds(from.value, hours.DAY - 1) != null && hours.seconds(until.value, hours.DAY) != null;
			if (good)
				this.add({ ...(this.days.chosen().length < 7 ? { day: this.days.chosen() } : {}), time_start: from.value.trim(), time_end: until.value.trim() });
			else
				dom.content(told, [ this.days.getValidationError() || _('Expected: %s').format(_('times such as 21:00')) ]);
		};
		const use = E('button', { 'type': 'button', 'class': 'btn cbi-button cbi-button-positive', 'click': () => this.finish() }, [ _('Use these hours') ]);
		const row = (label, field) => E('div', { 'class': 'nfa-pick' }, [ E('label', { 'for': field.id }, [ label ]), field ]);
		this.asking = true;
		rows.hide(this.more, true);
		dom.content(this.place, [ E('fieldset', { 'class': 'nfa-question' }, [
			E('legend', {}, [ _('New hours') ]), this.days.render(), row(_('From'), from), row(_('Until; if not later: the next morning'), until), told, use
		]) ]);
		from.focus();
	},

	add(options) {
		const name = this.options.named(Object.keys(this.windows));
		this.drafts[name] = options;
		this.windows[name] = hours.read(options);
		this.asking = false;
		rows.hide(this.more, false);
		dom.content(this.place, []);
		this.picker.setChoices(this.choices());
		this.picker.choose(name);
	},

	show() {
		const found = this.picker.getValue().map(name => this.windows[name]).filter(window => window);
		dom.content(this.preview, [ found.length ? table(found) : _('Always.') ]);
	},

	isValid() { return this.picker.isValid() && !this.asking; },
	getValidationError() { return this.asking ? _('The new hours are not right yet.') : this.picker.getValidationError(); },
	triggerValidation() { return false; },
	getValue() { return this.picker.getValue(); },

	/* With hours that are still being asked for. */
	said() { return JSON.stringify([ this.getValue(), this.asking === true ]); },

	/* Those of the new hours that are used: name to the options of their section. */
	made() { return Object.fromEntries(Object.entries(this.drafts).filter(([ name ]) => this.getValue().includes(name))); }
});

return baseclass.extend({
	table: table,
	Days: Days,
	Hours: Hours
});
