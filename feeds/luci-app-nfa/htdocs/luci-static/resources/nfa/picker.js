'use strict';
'require baseclass';
'require ui';
'require dom';

/*
 * A field for several values out of a long list: chips, and a search below them. Every text is a text node: names are
 * chosen by strangers. Up, Down and Enter choose; Backspace in an empty search takes the last chip away. Who leaves the field
 * has chosen what is written out; a part of a name stays in the field, which says so.
 */

const SHOWN = 40;
let count = 0;

function style() {
	if (!document.getElementById('nfa-forms'))
		document.head.appendChild(E('link', { 'id': 'nfa-forms', 'rel': 'stylesheet', 'href': L.resource('nfa/forms.css') }));
}

const Picker = ui.AbstractElement.extend({
	/*
	 * values: a list. options: id; label (for screen readers); choices, a list of { value, label, note, name }, by all of which one
	 * is found; create, whether other values may be typed; split, whether several may be typed at once; normal(text), how those
	 * are written; check(value), '' or what is wrong; whole(text), whether a text is a value for certain, without Enter;
	 * label_of(value): what a value is called that no choice is; placeholder; disabled; changed(), called after a change.
	 */
	__init__(values, options) {
		this.values = [ ...(values ?? []) ];
		this.options = Object.assign({ optional: true, create: true }, options);
		this.active = -1;
		this.found = [];
		this.rest = '';
		this.setChoices(options.choices ?? []);
	},

	setChoices(choices) {
		this.choices = choices;
		this.labels = new Map(choices.map(choice => [ choice.value, choice.label ?? choice.value ]));
		this.labelled = value => this.labels.get(value) ?? this.options.label_of?.(value) ?? value;
		if (this.node)
			this.showChips();
		if (this.input != null && document.activeElement === this.input)
			this.search(); // somebody was faster than the list
	},

	render() {
		style();
		const id = `nfa-picker-${++count}`;
		this.chips = E('ul', { 'class': 'nfa-chips', 'aria-label': this.options.label });
		this.list = E('ul', { 'class': 'nfa-list hidden', 'role': 'listbox', 'tabindex': -1, 'id': id, 'aria-label': this.options.label });
		this.input = E('input', {
			'type': 'text', 'class': 'cbi-input-text', 'role': 'combobox', 'aria-expanded': 'false', 'aria-controls': id,
			'aria-autocomplete': 'list', 'aria-label': this.options.label, 'autocomplete': 'off', 'autocapitalize': 'off', 'spellcheck': 'false',
			'id': this.options.id ? `widget.${this.options.id}` : `${id}-search`,
			'placeholder': this.options.placeholder ?? _('Type to search'),
			'disabled': this.options.disabled ? '' : null,
			'input': () => this.search(),
			'focus': () => this.quiet || this.search(),
			'keydown': event => this.press(event),
			'blur': () => this.leave()
		});
		this.problem = E('div', { 'role': 'alert', 'class': 'nfa-problem' });
		this.node = E('div', { 'id': this.options.id, 'class': 'nfa-picker' }, [ this.chips, this.input, this.list, this.problem ]);
		this.showChips();
		dom.bindClassInstance(this.node, this);
		return this.node;
	},

	wrong(value) {
		return this.options.check?.(value) ?? '';
	},

	showChips() {
		dom.content(this.chips, this.values.map(value => {
			const label = this.labelled(value);
			const wrong = this.wrong(value);
			return E('li', { 'class': wrong ? 'nfa-chip nfa-wrong' : 'nfa-chip', 'title': wrong || (label === value ? null : value), 'data-value': value }, [
				E('span', {}, [ label ]),
				E('button', {
					'type': 'button', 'aria-label': _('Remove %s').format(label), 'disabled': this.options.disabled ? '' : null,
					'click': () => {
						this.set(this.values.filter(one => one !== value));
						this.input.focus();
					}
				}, [ '\u00d7' ])
			]);
		}));
		this.tell();
	},

	/* What is wrong with the values, or with a text that nobody has chosen. */
	tell() {
		const wrong = this.values.filter(value => this.wrong(value));
		this.validationError = wrong.length ? _('"%s" cannot be used: expected %s').format(wrong[0], this.wrong(wrong[0]))
			: !this.rest ? ''
			: this.options.create ? _('"%s" is not added yet: choose from the list, or press Enter to use it as it is.').format(this.rest)
			: _('"%s" is not in the list: choose one that is.').format(this.rest);
		this.validState = !this.validationError;
		dom.content(this.problem, [ this.validationError ]);
	},

	/* The choice that a text names in full, null for none. A note counts where it is that of one choice only. */
	named(text) {
		const wanted = text.toLowerCase();
		const are = (...names) => names.some(name => name?.toLowerCase() === wanted);
		const noted = this.choices.filter(choice => are(choice.note));
		return this.choices.find(choice => are(choice.value, choice.label, choice.name)) ?? (noted.length === 1 ? noted[0] : null);
	},

	search() {
		if (this.options.disabled)
			return;
		const words = this.input.value.trim().toLowerCase();
		const matching = this.choices.filter(choice => !this.values.includes(choice.value)
			&& (`${choice.label ?? ''} ${choice.value} ${choice.note ?? ''}`.toLowerCase().includes(words)));
		// What is called so comes first, then what begins with the words: "zoom", "zoomer", "azoom".
		const same = words ? this.named(words) : null;
		const rank = choice => choice === same ? 0 : (choice.label ?? choice.value).toLowerCase().startsWith(words) ? 1 : 2;
		this.found = (words ? matching.sort((one, other) => rank(one) - rank(other)) : matching).slice(0, SHOWN);
		// Enter takes what was meant: where own values may be typed, a text within another name may be one.
		const sure = this.found.length > 0 && (!this.options.create || (this.options.whole?.(words) ? rank(this.found[0]) === 0 : rank(this.found[0]) < 2));
		this.active = words && sure ? 0 : -1;
		dom.content(this.list, this.found.map((choice, index) => E('li', {
			'role': 'option', 'id': `${this.list.id}-${index}`, 'data-value': choice.value,
			'mousedown': event => {
				event.preventDefault();
				this.choose(choice.value);
			}
		}, [ choice.label ?? choice.value, ...(choice.note ? [ ' ', E('small', {}, [ choice.note ]) ] : []) ])).concat(
			matching.length > SHOWN ? [ E('li', { 'aria-disabled': 'true' }, [ _('%d more: type to see them').format(matching.length - SHOWN) ]) ] : [],
			!matching.length && words ? [ E('li', { 'aria-disabled': 'true' }, [ this.options.create
				? _('Nothing found. Press Enter to use it anyway.') : _('Nothing found.') ]) ] : [],
			matching.length && words && !sure ? [ E('li', { 'aria-disabled': 'true' }, [ _('Press Enter to use "%s" as it is.').format(this.input.value.trim()) ]) ] : []));
		this.rest = '';
		this.tell();
		this.open(this.list.childNodes.length > 0);
		this.mark();
	},

	open(shown) {
		this.list.classList.toggle('hidden', !shown);
		this.input.setAttribute('aria-expanded', String(shown));
	},

	mark() {
		[ ...this.list.childNodes ].forEach((node, index) => node.setAttribute('aria-selected', String(index === this.active)));
		if (this.active >= 0) {
			this.input.setAttribute('aria-activedescendant', `${this.list.id}-${this.active}`);
			this.list.childNodes[this.active].scrollIntoView({ block: 'nearest' });
		}
		else {
			this.input.removeAttribute('aria-activedescendant');
		}
	},

	press(event) {
		const shown = !this.list.classList.contains('hidden');
		if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
			event.preventDefault();
			if (!shown)
				this.search();
			else
				this.active = Math.max(0, Math.min(this.found.length - 1, this.active + (event.key === 'ArrowDown' ? 1 : -1)));
			this.mark();
		}
		else if (event.key === 'Enter') {
			event.preventDefault();
			if (shown && this.active >= 0)
				this.choose(this.found[this.active].value);
			else
				this.take();
		}
		else if (event.key === 'Escape' && shown) {
			event.stopPropagation();
			this.open(false);
		}
		else if (event.key === 'Backspace' && !this.input.value && this.values.length) {
			this.set(this.values.slice(0, -1));
		}
	},

	/* Use what was typed: the choice that is called so, or the text itself. */
	take() {
		const text = this.input.value.trim();
		if (!text)
			return;
		const same = this.named(text);
		if (same != null)
			this.choose(same.value);
		else if (this.options.create)
			this.parts(text).forEach(part => this.choose(this.options.normal?.(part) ?? part));
		else
			this.keep(text);
	},

	parts(text) {
		return this.options.split ? text.split(/[\s,;]+/).filter(part => part) : [ text ];
	},

	/* Somebody goes on: what is written out is chosen, what may be a part of a name is not. */
	leave() {
		const text = this.input.value.trim();
		if (text && (this.named(text) != null || this.parts(text).every(part => this.options.whole?.(part))))
			this.take();
		else
			this.keep(text);
		this.open(false);
	},

	/* Leave a text in the field, and say that it is not used. */
	keep(text) {
		this.rest = text;
		this.tell();
		if (text)
			this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	},

	choose(value) {
		this.input.value = '';
		this.rest = '';
		this.set(this.values.includes(value) ? this.values : [ ...this.values, value ]);
		this.open(false);
	},

	set(values) {
		this.values = values;
		this.showChips();
		this.node.setAttribute('data-changed', 'true');
		this.options.changed?.();
		this.node.dispatchEvent(new CustomEvent('widget-change', { bubbles: true }));
	},

	/* Tell what is wrong, and go there. */
	point(text) {
		dom.content(this.problem, [ text ]);
		this.problem.scrollIntoView({ block: 'center' });
		this.quiet = true;
		this.input.focus({ preventScroll: true });
		this.quiet = false;
	},

	getValue() {
		return this.values;
	},

	setValue(values) {
		this.values = [ ...(values ?? []) ];
		this.rest = this.input.value = '';
		this.showChips();
	},

	triggerValidation() {
		return false;
	}
});

return baseclass.extend({
	Picker: Picker,

	/* The style sheet of the forms' widgets, once. */
	style: style
});
