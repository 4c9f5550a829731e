'use strict';
'require baseclass';
'require dom';
'require form';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.names as names';
'require nfa.parts as parts';
'require nfa.words as words';

/*
 * What all grids of sections have besides LuCI's: a row that adds a section of any name, a question before what is used is deleted, and
 * one before changes in a dialog are lost.
 */

/* A grid that takes no name which is in use, and asks before what is used is deleted. */
function guard(section) {
	const grid = form.GridSection.prototype;
	section.handleAdd = function(event, name) {
		const wrong = names.problem(section.sectiontype, name);
		if (!wrong)
			return grid.handleAdd.call(this, event, name);
		const row = event.target.closest('.cbi-section-create');
		const told = row.querySelector('[role=alert]') ?? row.appendChild(E('div', { 'role': 'alert', 'class': 'alert-message warning', 'style': 'width:100%' }));
		told.textContent = wrong;
		row.querySelector('input')?.focus();
		return Promise.resolve();
	};
	section.handleRemove = function(section_id, event) {
		const users = names.users(section.sectiontype, section_id);
		const remove = () => grid.handleRemove.call(this, section_id, event);
		if (!users.length)
			return remove();
		const yes = words.button(_('Delete'), 'negative important', () => Promise.resolve(question.close()).then(remove));
		const question = parts.dialog(_('Delete %s?').format(section_id), [
			E('p', {}, [ _('%s is in use. What uses it will be inactive without it, or do less.').format(section_id) ]),
			...users.map(text => E('p', { 'style': 'overflow-wrap:anywhere' }, [ text ]))
		], [ yes ]);
		return Promise.resolve();
	};
}

/* What the fields of a dialog say, to see whether somebody has changed something. */
function said(map) {
	return JSON.stringify(map.children.flatMap(section => section.children.map(option => {
		const element = option.isActive?.(map.section) ? option.getUIElement?.(map.section) : null;
		return element?.said?.() ?? element?.getValue?.() ?? null;
	})));
}

/* A grid whose dialog asks before changes are lost: also when the browser leaves the page. */
function keep(section) {
	const grid = form.GridSection.prototype;
	const shown = () => {
		const node = section.getActiveModalMap();
		return node ? dom.findClassInstance(node) : null;
	};
	const changed = () => section.opened != null && shown() != null && !shown().readonly && said(shown()) !== section.opened;
	const leave = event => {
		if (changed())
			event.preventDefault();
	};
	section.renderMoreOptionsModal = function(...given) {
		return Promise.resolve(grid.renderMoreOptionsModal.apply(this, given)).then(() => {
			section.opened = shown() ? said(shown()) : null;
			const box = section.getActiveModalMap()?.parentNode;
			box?.setAttribute('aria-modal', 'true');
			box?.setAttribute('aria-label', box.querySelector('h4')?.textContent ?? '');
			window.addEventListener('beforeunload', leave);
		});
	};
	section.handleModalCancel = function(map, event, saving) {
		const done = () => {
			section.opened = null;
			window.removeEventListener('beforeunload', leave);
			return Promise.resolve(grid.handleModalCancel.call(this, map, event, saving)).then(() => saving ? section.saved?.() : null);
		};
		if (saving || !changed())
			return done();
		const row = document.querySelector('.modal > .button-row');
		if (row == null || row.querySelector('.nfa-leave'))
			return Promise.resolve();
		const stay = E('button', { 'type': 'button', 'class': 'btn cbi-button', 'click': () => question.remove() }, [ _('Keep editing') ]);
		const question = E('div', { 'class': 'nfa-leave alert-message warning', 'role': 'alertdialog', 'aria-label': _('Discard changes?') }, [
			E('p', {}, [ _('What you changed here is not saved.') ]), stay, ' ',
			E('button', { 'type': 'button', 'class': 'btn cbi-button cbi-button-negative', 'click': done }, [ _('Discard changes') ])
		]);
		row.insertBefore(question, row.firstChild);
		stay.focus();
		return Promise.resolve();
	};
}

/*
 * The row with which a section is added: a field for its name, which may be any text, and a button. Guards names, and what is written in
 * dialogs. `more(node)`: what else is done to the row; `preset`: the name of a section whose field is empty.
 */
function label_new(section, text, more, preset) {
	guard(section);
	keep(section);
	// A column without a title is one without a name for who does not see it.
	section.renderHeaderRows = function(...given) {
		const head = form.GridSection.prototype.renderHeaderRows.apply(this, given);
		head.querySelectorAll?.('.cbi-section-table-titles .cbi-section-actions').forEach(cell => cell.appendChild(E('span', { 'class': 'nfa-unseen' }, [ _('Actions') ])));
		return head;
	};
	section.renderSectionAdd = function() {
		if (!this.addremove)
			return E('div', {});
		const field = E('input', {
			'type': 'text', 'class': 'cbi-section-create-name cbi-input-text', 'aria-label': text, 'placeholder': text, 'autocomplete': 'off', 'maxlength': 60,
			'disabled': this.map.readonly ? '' : null
		});
		const name = () => !field.value.trim() && preset ? names.free(preset, uci.sections(api.CONFIG).map(one => one['.name']))
			: names.identifier(field.value) || field.value.trim();
		const add = event => this.handleAdd(event, name());
		field.addEventListener('keydown', event => {
			if (event.key === 'Enter') {
				event.preventDefault();
				add(event);
			}
		});
		const node = E('div', { 'class': 'cbi-section-create' }, [ E('div', {}, [ field ]), E('button', {
			'type': 'button', 'class': 'btn cbi-button cbi-button-add', 'disabled': this.map.readonly ? '' : null, 'click': ui.createHandlerFn(this, add)
		}, [ this.addbtntitle ?? _('Add') ]) ]);
		more?.(node, this);
		return node;
	};
}

return baseclass.extend({
	label_new: label_new
});
