'use strict';
'require baseclass';
'require ui';
'require dom';
'require nfa.hours as hours';
'require nfa.picker as picker';

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
	/* values: names of schedules. options.windows: name to window. */
	__init__(values, options) {
		this.options = options;
		this.picker = new picker.Picker(values, {
			id: null, create: false, label: _('Schedules'), placeholder: _('always'), disabled: options.disabled,
			choices: Object.entries(options.windows).map(([ name, window ]) => ({ value: name, label: name, note: hours.words(window) })),
			check: name => options.windows[name] ? '' : _('the name of a schedule'),
			changed: () => this.show()
		});
	},

	render() {
		this.preview = E('div');
		this.node = E('div', { 'id': this.options.id }, [ this.picker.render(), this.preview ]);
		this.picker.input.id = `widget.${this.options.id}`;
		this.show();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	show() {
		const found = this.picker.getValue().map(name => this.options.windows[name]).filter(window => window);
		dom.content(this.preview, [ found.length ? table(found) : _('Always. Create schedules on the page Schedules.') ]);
	},

	isValid() { return this.picker.isValid(); },
	getValidationError() { return this.picker.getValidationError(); },
	triggerValidation() { return false; },
	getValue() { return this.picker.getValue(); }
});

return baseclass.extend({
	table: table,
	Days: Days,
	Hours: Hours
});
