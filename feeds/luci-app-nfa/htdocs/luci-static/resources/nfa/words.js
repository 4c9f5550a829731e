'use strict';
'require baseclass';
'require ui';

/*
 * How the pages say things: times, counts, errors. Whatever comes from the network is given to E() within a list, which
 * makes it text; a string alone would be HTML.
 */

function seconds(count) {
	if (count < 60)
		return _('%d s').format(count);
	if (count < 3600)
		return _('%d min').format(Math.floor(count / 60));
	if (count < 86400)
		return _('%d h %d min').format(Math.floor(count / 3600), Math.floor(count % 3600 / 60));
	const days = Math.floor(count / 86400);
	return N_(days, '%d day', '%d days').format(days);
}

/* Tell that something has failed, at the top of the page. `error`: an Error, or words. */
function complain(title, error) {
	return ui.addNotification(null, [
		E('p', {}, [ E('strong', {}, [ title ]) ]),
		E('p', {}, [ String(error?.message ?? error) ])
	], 'error');
}

/* Programs whose names are written small wherever they stand; those of nfa/daemon/base/findings.py. */
const PROGRAMS = [
	'conntrack', 'dnsmasq', 'fw4', 'ipset', 'libuci', 'mwan3', 'netifd', 'netifyd', 'nfa', 'nft', 'nftables', 'orjson', 'pbr', 'pfctl', 'procd',
	'pyroute2', 'qosify', 'rpcd', 'tc', 'ubus', 'ubusd', 'uci', 'uhttpd'
];

/* Whether a text begins with a name, such as of a program, file or option: with a capital letter it would be another one. */
function begins_with_a_name(text) {
	const word = text.split(/\s/, 1)[0].replace(/[.,:;?!]+$/, '');
	return PROGRAMS.includes(word.replace(/'s?$/, '')) || !(/^\p{L}[-'\p{L}]*$/u).test(word);
}

/* A text as a sentence: with a capital letter, and with an end. */
function sentence(text) {
	if (!text)
		return '';
	const begin = begins_with_a_name(text) ? text[0] : text[0].toUpperCase();
	return `${begin}${text.slice(1)}${(/[.?!]$/).test(text) ? '' : '.'}`;
}

/* A count of bytes, in the unit that leaves it few digits. */
function bytes(number) {
	const units = [ [ 1e9, _('%s GB') ], [ 1e6, _('%s MB') ], [ 1e3, _('%s kB') ], [ 1, _('%s bytes') ] ];
	const [ size, text ] = units.find(([ one ]) => number >= one) ?? units[3];
	return text.format((size === 1 ? number : Math.floor(number / size * 10) / 10).toLocaleString());
}

return baseclass.extend({
	sentence: sentence,

	/* A span of time, from whole seconds. */
	seconds: seconds,

	/* How long ago a moment (seconds since 1970) was, by the clock of the router: `now` is what it shows. */
	ago: (time, now) => time == null ? _('never') : _('%s ago').format(seconds(Math.max(0, Math.floor(now - time)))),

	/* The time that an element has left; null: it does not end. */
	left: count => count == null ? _('for ever') : seconds(count),

	/* A count with its thousands apart, as the person's language does it. */
	count: number => Number(number ?? 0).toLocaleString(),

	bytes: bytes,

	/* Bytes in a second, as lines are sold: in bits. */
	rate: number => {
		const units = [ [ 1e6, _('%s Mbit/s') ], [ 1e3, _('%s kbit/s') ], [ 0, _('%s bit/s') ] ];
		const [ size, text ] = units.find(([ one ]) => number * 8 >= one);
		const value = number * 8 / (size || 1);
		return text.format((value < 10 && size ? Math.round(value * 10) / 10 : Math.round(value)).toLocaleString());
	},

	/* When something ends (seconds since 1970): the time, with the day if that is not today's. */
	until: time => {
		const date = new Date(time * 1000), clock = { hour: '2-digit', minute: '2-digit' };
		return date.toDateString() === new Date().toDateString() ? date.toLocaleTimeString([], clock)
			: date.toLocaleString([], { weekday: 'short', ...clock });
	},

	errors: count => N_(count, '%d error', '%d errors').format(count),
	warnings: count => N_(count, '%d warning', '%d warnings').format(count),

	complain: complain,

	/*
	 * A button whose `work` (a function that gives a promise) may take a while: it shows that it is busy, and cannot be
	 * pressed again meanwhile. Failures are told with `label` as their title.
	 */
	button: (label, style, work, more) => {
		const node = E('button', Object.assign({
			'type': 'button',
			'class': `btn cbi-button cbi-button-${style}`,
			'click': () => {
				node.disabled = true;
				node.classList.add('spinning');
				return Promise.resolve().then(work).catch(error => complain(label, error)).finally(() => {
					node.disabled = false;
					node.classList.remove('spinning');
				});
			}
		}, more), [ label ]);
		return node;
	}
});
