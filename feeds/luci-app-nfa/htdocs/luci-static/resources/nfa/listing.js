'use strict';
'require baseclass';
'require nfa.parts as parts';
'require nfa.rows as rows';
'require nfa.words as words';

/*
 * A table of something that the daemon lists page by page (actions, targets, elements): a field to search, a page at a time,
 * and the same rows kept while they are polled.
 *
 * `options`:
 *   label, columns, key, empty   of parts.table
 *   name                         of the list in an answer
 *   ask(search, offset, limit)   a promise of an answer, null without the daemon
 *   count(answer)                how many there are in all pages
 *   find, id                     the label and the id of the search's field
 *   controls                     nodes beside it; with them it is always shown, else where there is more than a page
 *   away()                       what is said without the daemon
 *   page                         how many items a page has
 */

function button(label, work) {
	return E('button', { 'type': 'button', 'class': 'btn cbi-button', 'click': work }, [ label ]);
}

function create(options) {
	const table = parts.table(options.label, options.columns, options.key, options.empty);
	const state = parts.state();
	let offset = 0, asked = 0, timer = null;

	const search = E('input', {
		'id': options.id, 'type': 'text', 'class': 'cbi-input-text', 'autocomplete': 'off', 'maxlength': 100,
		'input': () => {
			clearTimeout(timer);
			timer = setTimeout(() => turn_to(0), 250);
		}
	});
	const back = button(_('Previous page'), () => turn_to(offset - options.page));
	const on = button(_('Next page'), () => turn_to(offset + options.page));
	const head = E('div', {}, [ ...(options.controls ?? []), parts.field(options.find, search) ]);
	const foot = E('div', { 'class': 'right' }, [ back, ' ', on ]);

	function show(reply) {
		const items = reply[options.name], count = options.count(reply), is_long = count > options.page;
		table.update(items, search.value ? _('Nothing found.') : null);
		rows.hide(head, options.controls == null && !is_long && !search.value && document.activeElement !== search);
		rows.hide(foot, !is_long);
		back.disabled = offset <= 0;
		on.disabled = !reply.more;
		state.say(count && (options.controls || is_long || search.value) ? _('%s to %s of %s').format(
			words.count(offset + 1), words.count(offset + items.length), words.count(count)) : '');
	}

	/* Ask and show. An answer that comes after that to a later question is not shown. */
	function refresh() {
		const mine = ++asked;
		return options.ask(search.value.trim() || undefined, offset, options.page).then(reply => {
			if (mine !== asked)
				return null;
			table.node.style.opacity = reply == null ? '.5' : '';
			if (reply == null) {
				state.say(options.away(), 'warning');
				return null;
			}
			/* There may be fewer than before: then this page is none. */
			if (!reply[options.name].length && offset > 0)
				return turn_to(0);
			return show(reply);
		});
	}

	function turn_to(place) {
		offset = Math.max(0, place);
		return refresh();
	}

	rows.hide(head, options.controls == null);
	rows.hide(foot, true);
	return {
		node: E('div', {}, [ head, state.node, table.node, foot ]),
		refresh: refresh,
		first: () => turn_to(0),
		/* Write what is shown once more: its text may be another one by now. */
		again: table.again
	};
}

return baseclass.extend({ create: create });
