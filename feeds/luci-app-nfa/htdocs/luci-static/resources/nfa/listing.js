'use strict';
'require baseclass';
'require nfa.rows as rows';
'require nfa.words as words';

/*
 * A table of something that the daemon lists page by page (actions, targets): a field to search, a page at a time, and the same
 * rows kept while they are polled.
 */

const PAGE = 25;
let tables = 0;

/*
 * `options`: name (of the list in an answer), ask(search, offset, limit) (a promise of an answer, null without the daemon),
 * columns (titles), cells(item) (a text for each column), empty (what to say when there is nothing), find (the search's label).
 * A cell is a text, or { text, style, note }: a label of LuCI's in the style, and a line below it.
 */
function create(options) {
	const id = `nfa-listing-${++tables}`;
	let offset = 0, total = 0, asked = 0, asked_once = false, timer = null;

	const line = () => {
		const cells = options.columns.map(column => {
			const label = E('span', {});
			const note = E('div', { 'style': 'opacity:.8' });
			return { label: label, note: note, node: E('td', { 'class': 'td left', 'data-title': column }, [ E('div', {}, [ label, note ]) ]) };
		});
		return {
			node: E('tr', { 'class': 'tr' }, cells.map(cell => cell.node)),
			update: item => options.cells(item).forEach((given, index) => {
				const cell = cells[index];
				const told = typeof given == 'object' ? given : { text: given };
				rows.text(cell.label, told.text);
				rows.attribute(cell.label, 'class', told.style ? `label ${told.style}` : null);
				rows.text(cell.note, told.note ?? '');
			})
		};
	};

	const table = E('table', { 'class': 'table' }, [
		E('tr', { 'class': 'tr table-titles' }, options.columns.map(column => E('th', { 'class': 'th left', 'scope': 'col' }, [ column ])))
	]);
	const fill = rows.keyed(table, item => item.name, line);
	const search = E('input', {
		'id': id, 'type': 'text', 'class': 'cbi-input-text', 'autocomplete': 'off',
		'input': () => {
			clearTimeout(timer);
			timer = setTimeout(() => { offset = 0; refresh(); }, 250);
		}
	});
	const count = E('span', { 'aria-live': 'polite' });
	const nothing = E('p', {}), old = E('p', {});
	const turn = (label, by) => E('button', {
		'type': 'button', 'class': 'btn cbi-button',
		'click': () => { offset = Math.max(0, offset + by); return refresh(); }
	}, [ label ]);
	const back = turn(_('Previous'), -PAGE), on = turn(_('Next'), PAGE);
	const head = E('div', { 'style': 'display:flex;flex-wrap:wrap;gap:.5em;align-items:center' }, [
		E('label', { 'for': id }, [ options.find ]), search, count, back, on
	]);

	function show(reply) {
		const items = reply[options.name];
		total = reply.total;
		fill(items);
		rows.text(count, total ? _('%s to %s of %s').format(words.count(offset + 1), words.count(offset + items.length), words.count(total)) : '');
		rows.text(nothing, search.value ? _('Nothing has this text in its name.') : options.empty);
		rows.hide(nothing, total > 0);
		rows.hide(table, !total);
		rows.hide(head, total <= PAGE && !search.value && document.activeElement !== search);
		rows.hide(back, total <= PAGE);
		rows.hide(on, total <= PAGE);
		back.disabled = offset <= 0;
		on.disabled = !reply.more;
	}

	function refresh() {
		const mine = ++asked;
		return options.ask(search.value || undefined, offset, PAGE).then(reply => {
			if (mine !== asked)
				return reply;
			rows.hide(old, reply != null);
			rows.text(old, asked_once ? _('The daemon does not answer. This is what it said last.') : _('Shown while the daemon runs.'));
			table.style.opacity = reply == null ? '.5' : '';
			if (reply == null)
				return reply;
			asked_once = true;
			/* There may be fewer than before: then this page is none. */
			if (!reply[options.name].length && offset > 0) {
				offset = 0;
				return refresh();
			}
			show(reply);
			return reply;
		});
	}

	for (const node of [ head, table, nothing, old ])
		rows.hide(node, true);
	return { node: E('div', {}, [ old, head, table, nothing ]), refresh: refresh };
}

return baseclass.extend({ create: create });
