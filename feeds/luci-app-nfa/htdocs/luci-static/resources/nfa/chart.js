'use strict';
'require baseclass';
'require nfa.rates as rates';
'require nfa.rows as rows';

/* A line over time as SVG, and what it shows in words below it. */

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 600;
const HEIGHT = 80;

function shape(name, attributes) {
	const node = document.createElementNS(SVG, name);
	for (const [ key, value ] of Object.entries(attributes))
		node.setAttribute(key, value);
	return node;
}

/* The path of points { time, rate }: a line for each stretch between gaps. `closed`: down to the ground, to be filled. */
function path(points, now, span, top, closed) {
	const x = point => (WIDTH * (1 - (now - point.time) / span)).toFixed(1);
	const y = point => (HEIGHT - 2 - (HEIGHT - 4) * point.rate / top).toFixed(1);
	const stretches = [ [] ];
	for (const point of points) {
		if (point.rate == null)
			stretches.push([]);
		else
			stretches[stretches.length - 1].push(point);
	}
	return stretches.filter(stretch => stretch.length).map(stretch => {
		const line = `M${stretch.map(point => `${x(point)},${y(point)}`).join('L')}`;
		return closed ? `${line}L${x(stretch[stretch.length - 1])},${HEIGHT}L${x(stretch[0])},${HEIGHT}Z` : line;
	}).join('');
}

return baseclass.extend({
	path: path,

	/* A chart of a history (nfa.rates) over `span` seconds: { node, draw(now) }. */
	create: (history, span) => {
		const ground = shape('path', { 'fill': 'currentColor', 'fill-opacity': '0.15', 'stroke': 'none' });
		const line = shape('path', {
			'fill': 'none', 'stroke': 'currentColor', 'stroke-width': '1.5', 'vector-effect': 'non-scaling-stroke'
		});
		const svg = shape('svg', {
			'viewBox': `0 0 ${WIDTH} ${HEIGHT}`, 'preserveAspectRatio': 'none', 'role': 'img',
			'style': 'display:block;width:100%;height:5em;border-bottom:1px solid currentColor'
		});
		const scale = E('div', { 'style': 'opacity:.8' });
		const words = E('figcaption', {});
		svg.appendChild(ground);
		svg.appendChild(line);

		return {
			node: E('figure', { 'style': 'margin:0 0 1em' }, [ scale, svg, words ]),

			draw: now => {
				const rate = history.now();
				const top = rates.top(history.highest());
				const said = !history.answered() ? _('The daemon does not answer. Gaps are times without an answer.')
					: rate == null ? _('Counting: the first point appears in a few seconds.')
					: _('Now %s matches per second, at most %s in the last %d minutes.').format(rate.toFixed(1), history.highest().toFixed(1), span / 60);
				ground.setAttribute('d', path(history.points, now, span, top, true));
				line.setAttribute('d', path(history.points, now, span, top, false));
				svg.setAttribute('aria-label', said);
				rows.text(scale, _('%s per second').format(top >= 1 ? top.toFixed(0) : String(top)));
				rows.text(words, said);
			}
		};
	}
});
