'use strict';
'require baseclass';
'require nfa.bars as bars';
'require nfa.routes as routes';
'require nfa.rows as rows';
'require nfa.words as words';

/* The list of problems: what each is, and the button that opens the very thing with which it is mended. */

const FIRST = 5;

/* Where a problem is mended: { text, href }, null where no page can. */
function place_of({ page, section }) {
	const titles = {
		policies: section ? _('Open the rule %s').format(section) : _('Open the rules'),
		targets: section ? _('Open the target %s').format(section) : _('Open the targets'),
		sets: _('Open the sets'), log: _('Open the log')
	};
	const has_editor = section && [ 'policies', 'targets' ].includes(page);
	return titles[page] ? { text: titles[page], href: L.url('admin/services/nfa', page) + (has_editor ? `#edit=${section}` : '') } : null;
}

function line(item) {
	const label = E('span', {}), text = E('span', {}), go = E('a', { 'class': 'btn cbi-button cbi-button-action' });
	const place = E('div', { 'style': 'opacity:.8;overflow-wrap:anywhere' });
	// What is mended right here.
	const here = item.code == 'route-not-applied'
		? [ words.button(_('Set up the routes'), 'action', () => routes.open(), { 'disabled': L.hasViewPermission() === false ? '' : null }), ' ' ] : [];
	const node = E('div', { 'role': 'listitem', 'style': 'margin-bottom:.7em;overflow-wrap:anywhere' }, [
		E('div', {}, [ label, ' ', text ]), place, E('div', { 'style': 'margin-top:.3em' }, [ ...here, go ])
	]);
	return {
		node: node,
		update: fresh => {
			const there = place_of(fresh);
			rows.attribute(label, 'class', fresh.severity == 'error' ? 'label nfa-error' : 'label warning');
			rows.text(label, fresh.severity == 'error' ? _('Error') : _('Warning'));
			rows.text(text, fresh.text);
			rows.text(place, fresh.place ? _('Where: %s').format(fresh.place) : '');
			rows.hide(go, there == null);
			rows.text(go, there?.text ?? '');
			rows.attribute(go, 'href', there?.href);
		}
	};
}

return baseclass.extend({
	place_of: place_of,

	/* { node, show(problems) }: the first few, and a button for all. `problems`: of health.problems(). */
	list: () => {
		bars.style();
		const box = E('div', { 'role': 'list' });
		const write = rows.keyed(box, item => `${item.severity} ${item.place} ${item.text}`, line);
		const fold = rows.folded(write, FIRST);
		fold.show([]);
		return { node: E('div', {}, [ box, fold.more ]), show: fold.show };
	}
});
