'use strict';
'require baseclass';
'require nfa.api as api';
'require nfa.called as called';
'require nfa.rows as rows';
'require nfa.words as words';

/* What is paused, and what is left of budgets: lines with a button each. */

const HALF_AN_HOUR = 1800;
/* Lines that are shown at once. */
const MOST = 8;

/* A list of lines: `make(item)` gives { text(item), buttons }, once for each key. Returns { node, show(items) }. */
function lines(label, key, make) {
	const box = E('div', { 'role': 'list', 'class': 'nfa-things', 'aria-label': label });
	const write = rows.keyed(box, key, item => {
		const made = make(item), text = E('span', {});
		return {
			node: E('div', { 'role': 'listitem' }, [ text, ...made.buttons ]),
			update: fresh => {
				rows.text(text, made.text(fresh));
				made.update?.(fresh);
			}
		};
	});
	const fold = rows.folded(write, MOST);
	fold.show([]);
	return { node: E('div', {}, [ box, fold.more ]), show: fold.show };
}

return baseclass.extend({
	/* `changed()`: called after something was done. `readonly`: nothing can be. */
	paused: (readonly, changed) => lines(_('Paused'), item => item.name, ({ name }) => ({
		text: item => _('%s, until %s').format(item.name === 'all' ? _('Everything') : item.name, words.until(item.until)),
		buttons: [ words.button(_('Resume'), 'action', () => api.resume(name).then(changed), {
			'disabled': readonly ? '' : null, 'aria-label': _('Resume %s').format(name === 'all' ? _('Everything') : name)
		}) ]
	})),

	/* Rows of the method budget, those first of which least is left. */
	scarce_first: items => [ ...items ].sort((one, other) => Number(other.spent) - Number(one.spent) || other.percent - one.percent),

	/* Rows of the method budget. `name`: what the device of a row is called. */
	budgets: (readonly, name, changed) => lines(_('Budgets'), row => `${row.budget} ${row.mac || row.device}`, first => {
		const who = row => row.shared ? _('All together') : name(row);
		const more = words.button(_('+30 min'), 'action', () =>
			api.add_budget(first.budget, first.shared ? undefined : first.mac || first.device, HALF_AN_HOUR).then(changed), {
			'disabled': readonly ? '' : null, 'aria-label': _('+30 min of %s for %s').format(first.budget, who(first))
		});
		return {
			text: row => _('%s (%s): %s').format(who(row), row.budget, called.left(row)),
			buttons: [ more ],
			update: row => rows.hide(more, row.left_seconds == null)
		};
	})
});
