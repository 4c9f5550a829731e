'use strict';
'require baseclass';
'require nfa.readable as readable';
'require nfa.words as words';

/*
 * What devices and applications are called where people read them. In: names as the daemon has them, the sections of the
 * configuration, what the router knows of its devices. Out: texts.
 */

/* netify.amazon-prime: Amazon Prime. Names of protocols stay as they are. */
function application(name) {
	if (name === 'other')
		return _('others');
	if (name === 'Unknown')
		return _('not recognised');
	return (/^netify\../).test(name) ? readable.application(name) : name;
}

/* `sections`: of devices in the configuration, as LuCI has them; `hosts`: of api.hosts(). */
function device(item, sections, hosts) {
	if (item.device === 'router' && !item.mac)
		return _('The router itself');
	if (item.device === 'other' && !item.mac)
		return _('others');
	const own = sections.find(section => section['.name'] === item.device);
	return own?.title || (item.device === item.mac || !item.device ? hosts[item.mac?.toUpperCase()] ?? item.mac : item.device);
}

/* A few of a list, and how many more there are. */
function few(texts, most) {
	return texts.length <= most ? texts.join(', ') : _('%s and %d more').format(texts.slice(0, most).join(', '), texts.length - most);
}

return baseclass.extend({
	application: application,
	device: device,
	few: few,

	/* What was used in both directions. */
	amounts: ({ down, up }) => _('%s down, %s up').format(words.bytes(down), words.bytes(up)),

	/* Applications, or devices, with their minutes: those that had some first. */
	minutes: (items, name) => few(items.map(item => item.minutes ? _('%s %s').format(name(item), words.seconds(item.minutes * 60)) : name(item)), 3),

	/* What a device has left of a budget. */
	left: row => {
		const parts = [
			...(row.left_seconds == null ? [] : [ _('%s of %s left').format(words.seconds(row.left_seconds), words.seconds(row.amount_seconds + row.bonus_seconds)) ]),
			...(row.left_bytes == null ? [] : [ _('%s of %s left').format(words.bytes(row.left_bytes), words.bytes(row.amount_bytes + row.bonus_bytes)) ])
		];
		const text = row.spent ? _('used up') : parts.join(', ') || _('no limit today');
		return row.exempt ? _('%s, not counted now').format(text) : _('%s, until %s').format(text, words.until(row.until));
	}
});
