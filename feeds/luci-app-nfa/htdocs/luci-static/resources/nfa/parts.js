'use strict';
'require baseclass';
'require nfa.rows as rows';
'require nfa.api as api';
'require nfa.health as health';
'require ui';
'require uci';

/*
 * Parts of pages: a table whose rows stay the nodes that they are while it is polled, and the line that says how things
 * are. All texts are children in lists: text, whatever is in them.
 */

function lines_of(value) {
	return (Array.isArray(value) ? value : [ value ]).map(String).filter(line => line);
}

/*
 * Write a cell: a text, several below each other, or { text, style, note }: a text as a label of LuCI's, and a line below
 * it. Each line is apart from the others also for a script that is written from right to left.
 */
function fill(cell, content) {
	const { text, style, note } = typeof content?.text == 'string' ? content : {};
	const lines = lines_of(text != null ? [ text, note ?? '' ] : content);
	const shown = [ style ?? '', ...lines ].join('\n');
	if (cell.shown === shown)
		return;
	cell.shown = shown;
	cell.replaceChildren(...lines.map((line, index) => E('div', note && index ? { 'style': 'opacity:.8' } : {}, [
		E('bdi', style && !index ? { 'class': `label ${style}` } : {}, [ line ])
	])));
	if (!lines.length)
		cell.replaceChildren('-');
}

/*
 * A table. `columns`: { title, text } or { title, node }; `text` gives what `fill` takes of an item, each time; `node` makes the
 * content of a cell once, and is given a function that tells the item as it was last seen. `key`: what an item is known
 * by. `empty`: what is said when there is none.
 */
function table(label, columns, key, empty) {
	let shown = [];
	const head = E('tr', { 'class': 'tr table-titles' }, columns.map(column =>
		E('th', { 'class': 'th', 'scope': 'col' }, [ column.title ])));
	const node = E('table', { 'class': 'table', 'aria-label': label }, [ head ]);
	const row = () => {
		let item = null;
		const cells = columns.map(column => E('td', {
			'class': 'td', 'data-title': column.title, 'style': 'overflow-wrap:anywhere'
		}, column.node ? [ column.node(() => item) ] : []));
		return {
			node: E('tr', { 'class': 'tr' }, [ ...cells ]),
			update: fresh => {
				item = fresh;
				columns.forEach((column, index) => {
					if (column.text)
						fill(cells[index], column.text(item));
				});
			}
		};
	};
	const write = rows.keyed(node, key, row);
	// On a phone, themes place this line absolutely.
	const reason = E('em', {}, [ empty ]);
	const nothing = E('tr', { 'class': 'tr placeholder', 'style': 'height:auto' }, [
		E('td', { 'class': 'td', 'style': 'position:static;height:auto;line-height:1.5;padding:.7em', 'colspan': columns.length }, [ reason ])
	]);
	node.appendChild(nothing);
	rows.hide(nothing, true);

	/* `instead`: another reason why there is none. */
	const update = (items, instead) => {
		shown = items;
		write(items);
		rows.text(reason, instead ?? empty);
		rows.hide(nothing, items.length > 0);
	};
	/* `again`: the items that are there, whose text is another one by now. */
	return { node: node, update: update, again: () => write(shown) };
}

return baseclass.extend({
	table: table,

	/* A line that screen readers say when it changes. `style`: of LuCI's messages, or null for a line of text. */
	state: () => {
		const node = E('p', { 'role': 'status', 'aria-live': 'polite' });
		return {
			node: node,
			say: (text, style) => {
				const name = style ? `alert-message ${style}` : '';
				if (node.className != name)
					node.className = name;
				if (node.textContent != text)
					node.textContent = text;
			}
		};
	},

	/* For pages that have read the configuration, as far as there is one. */
	away: () => health.allowed(uci.get(api.CONFIG, 'main', 'enabled'))
		? _('The daemon does not answer, so this page may be out of date. Start it on the page Home.')
		: _('Flow Actions is switched off. Switch it on on the page Home.'),

	/* A labelled field in a row of controls. */
	field: (label, control) => E('span', { 'style': 'display:inline-flex;align-items:center;gap:.5em;margin:0 1em .5em 0' }, [
		E('label', { 'for': control.id }, [ label ]), control
	]),

	/*
	 * A dialog. Its first control gets the focus; when it is closed, what had it before gets it back. A button that closes it
	 * comes before the `buttons`, and is what Escape presses. `more`: close (its label), closed() (called when it was pressed).
	 */
	dialog: (title, content, buttons, more) => {
		const before = document.activeElement;
		const close = () => {
			ui.hideModal();
			if (before?.isConnected)
				before.focus();
		};
		const no = E('button', {
			'type': 'button', 'class': 'btn cbi-button',
			'click': () => {
				close();
				more?.closed?.();
			}
		}, [ more?.close ?? _('Cancel') ]);
		const row = E('div', { 'class': 'right button-row' }, [ no, ...buttons.flatMap(button => [ ' ', button ]) ]);
		const box = ui.showModal([ title ], [ ...content, row ], 'cbi-modal');
		box.setAttribute('role', 'dialog');
		box.setAttribute('aria-modal', 'true');
		box.setAttribute('aria-label', title);
		(box.querySelector('select, input') ?? no).focus();
		return { close: close };
	}
});
