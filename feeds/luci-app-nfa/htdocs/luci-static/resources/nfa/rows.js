'use strict';
'require baseclass';

/* What is polled changes without flicker: nodes stay, and only text that is another one is written. */

function text(node, words) {
	if (node.textContent !== words)
		node.textContent = words;
}

function attribute(node, name, value) {
	if (value == null)
		node.removeAttribute(name);
	else if (node.getAttribute(name) !== String(value))
		node.setAttribute(name, value);
}

/* The attribute hidden alone is not enough: themes give buttons and others a display of their own. */
function hide(node, yes) {
	if (node.dataset.display == null)
		node.dataset.display = node.style.display;
	node.style.display = yes ? 'none' : node.dataset.display;
}

/*
 * The first of a list, and a button for all of them: { more, show(items) }. `write(items)`: writes those that are shown; `most`: how many;
 * of more than that the button says how many there are.
 */
function folded(write, most) {
	let all = false, items = [];
	const more = E('button', { 'type': 'button', 'class': 'btn cbi-button', 'click': () => {
		all = !all;
		show(items);
	} });
	function show(fresh) {
		items = fresh;
		write(all ? items : items.slice(0, most));
		hide(more, items.length <= most);
		text(more, all ? _('Show the first %d').format(most) : _('and %d more').format(items.length - most));
		attribute(more, 'aria-expanded', String(all));
	}
	return { more: more, show: show };
}

return baseclass.extend({
	folded: folded,

	/* Write a text, as text, if it is another one. */
	text: text,

	/* Set an attribute if it has another value; null: take it away. */
	attribute: attribute,

	/* Take a node out of sight, or show it as it was. */
	hide: hide,

	/*
	 * Keep children of `parent`, one for each item, after those that it has already. `key` gives an item's name, `make` an
	 * object { node, update(item) } for a new one. Returns a function that is given the items each time. A node whose item
	 * stays is the same node, in the same place if it can be: a focus or a selection in it stays.
	 */
	keyed: (parent, key, make) => {
		const fixed = parent.children.length;
		let known = new Map();

		return items => {
			const wanted = new Map();
			for (const item of items) {
				const name = key(item);
				if (!wanted.has(name))
					wanted.set(name, known.get(name) ?? make(item));
				wanted.get(name).update(item);
			}
			for (const [ name, row ] of known)
				if (!wanted.has(name))
					row.node.remove();
			let place = fixed;
			for (const row of wanted.values()) {
				const there = parent.children[place++] ?? null;
				if (there !== row.node)
					parent.insertBefore(row.node, there);
			}
			known = wanted;
		};
	}
});
