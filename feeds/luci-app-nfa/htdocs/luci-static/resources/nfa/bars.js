'use strict';
'require baseclass';
'require nfa.rows as rows';

/*
 * Bars: a list of which each line has a name, a bar for its share of the longest one, and its numbers in words. The bars say
 * nothing that the words do not.
 */

function style() {
	if (!document.getElementById('nfa-home'))
		document.head.appendChild(E('link', { 'id': 'nfa-home', 'rel': 'stylesheet', 'href': L.resource('nfa/home.css') }));
}

function line(item) {
	const name = item.href ? E('a', {}) : E('span', {});
	const bar = E('span', { 'class': 'nfa-bar' }), text = E('span', { 'class': 'nfa-bar-text' }), note = E('span', { 'class': 'nfa-bar-note' });
	// Each text is apart from the others also in a script that is written from right to left.
	const apart = node => E('bdi', {}, [ node ]);
	return {
		node: E('div', { 'role': 'listitem', 'class': 'nfa-bar-line' }, [
			E('span', { 'class': 'nfa-bar-name' }, [ apart(name) ]), E('span', { 'class': 'nfa-bar-track', 'aria-hidden': 'true' }, [ bar ]), text, apart(note)
		]),
		update: fresh => {
			rows.text(name, fresh.name);
			if (fresh.href)
				rows.attribute(name, 'href', fresh.href);
			bar.style.width = `${Math.round(1000 * fresh.share) / 10}%`;
			rows.text(text, fresh.text);
			rows.text(note, fresh.note ?? '');
		}
	};
}

return baseclass.extend({
	style: style,

	/*
	 * { node, show(items, instead) }. An item: { key, name, href, amount, text, note }; at most `most` are shown, then how many more there
	 * are, with a button for all of them. `instead`: what is said when there is none.
	 */
	list: (label, most) => {
		style();
		const box = E('div', { 'role': 'list', 'aria-label': label, 'class': 'nfa-bars' });
		const write = rows.keyed(box, item => item.key, line);
		const said = E('p', {});
		let longest = 0;
		const fold = rows.folded(first => write(first.map(item => ({ ...item, share: longest ? item.amount / longest : 0 }))), most);
		function show(items, instead) {
			longest = items.reduce((top, item) => Math.max(top, item.amount), 0);
			fold.show(items);
			rows.hide(box, !items.length);
			rows.hide(said, items.length > 0 || !instead);
			rows.text(said, instead ?? '');
		}
		show([], '');
		return { node: E('div', {}, [ said, box, fold.more ]), show: show };
	},

	/* The hours of a day as columns: { node, show(hours) }; an hour: { label, amount, text }. */
	columns: label => {
		style();
		const box = E('div', { 'class': 'nfa-hours', 'role': 'img' });
		const words = E('figcaption', {});
		const write = rows.keyed(box, hour => hour.label, () => {
			const bar = E('span', { 'class': 'nfa-bar' }), name = E('small', {});
			const node = E('span', { 'class': 'nfa-hour' }, [ E('span', { 'class': 'nfa-hour-track' }, [ bar ]), name ]);
			return {
				node: node,
				update: hour => {
					bar.style.height = `${Math.round(1000 * hour.share) / 10}%`;
					rows.text(name, hour.label);
					rows.attribute(node, 'title', hour.text);
				}
			};
		});
		return {
			node: E('figure', { 'style': 'margin:0 0 1em' }, [ box, words ]),
			show: hours => {
				const longest = hours.reduce((top, hour) => hour.amount > top.amount ? hour : top, { amount: 0 });
				write(hours.map(hour => ({ ...hour, share: longest.amount ? hour.amount / longest.amount : 0 })));
				const said = longest.amount ? _('Most from %s o\'clock: %s').format(longest.label, longest.text) : _('Nothing yet.');
				rows.text(words, said);
				rows.attribute(box, 'aria-label', `${label}. ${said}`);
			}
		};
	}
});
