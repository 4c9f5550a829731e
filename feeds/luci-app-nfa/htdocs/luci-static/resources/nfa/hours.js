'use strict';
'require baseclass';

/*
 * Windows of time: the sections `time_of_day` as data, as words and as a week of hours. Pure.
 *
 * A window is { days: [0..6, Monday first], start, end (seconds of the day), exclusive, wrong (texts that are no time) }. One whose end is not after its
 * start runs over midnight and belongs to the day on which it starts.
 */

const KEYS = [ 'mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun' ];
const DAY = 86400;

/* Seconds of the day of hh:mm or hh:mm:ss; null when it is no time up to `latest`. */
function seconds(text, latest) {
	const match = /^\s*([0-9]{1,2}):([0-5][0-9])(?::([0-5][0-9]))?\s*$/.exec(text ?? '');
	const found = match ? Number(match[1]) * 3600 + Number(match[2]) * 60 + Number(match[3] ?? 0) : DAY + 1;
	return found <= latest ? found : null;
}

function clock(count) {
	const pad = part => String(Math.floor(part)).padStart(2, '0');
	return `${pad(count / 3600)}:${pad(count / 60 % 60)}${count % 60 ? `:${pad(count % 60)}` : ''}`;
}

function list(value) {
	return (Array.isArray(value) ? value : [ value ?? '' ]).flatMap(text => text.split(/[\s,]+/)).filter(word => word);
}

/* The days that an option names, as numbers; what is no day is left out. */
function days(value) {
	const found = list(value).map(word => KEYS.indexOf(word.toLowerCase().slice(0, 3))).filter(day => day >= 0);
	return [ ...new Set(found) ].sort();
}

function read(section) {
	const named = days(section?.day ?? section?.days);
	return {
		days: named.length ? named : [ 0, 1, 2, 3, 4, 5, 6 ],
		start: seconds(section?.time_start, DAY - 1) ?? 0,
		end: seconds(section?.time_end, DAY) ?? DAY,
		exclusive: String(section?.policy ?? '').trim().toLowerCase() === 'exclusive',
		wrong: [ section?.time_start, DAY - 1, section?.time_end, DAY ].flatMap((text, index, all) =>
			index % 2 === 0 && text && seconds(String(text), all[index + 1]) == null ? [ String(text) ] : [])
	};
}

/* The minutes of a week, from Monday 0:00, that a window covers. */
function minutes(window) {
	const week = new Uint8Array(7 * 1440);
	if (window.wrong?.length)
		return week;
	const from = Math.floor(window.start / 60);
	const until = Math.ceil(window.end / 60) + (window.end <= window.start ? 1440 : 0);
	for (const day of window.days)
		for (let minute = from; minute < until; minute++)
			week[(day * 1440 + minute) % week.length] = 1;
	return week;
}

/* For each minute of a week whether an action with these windows is applied: within any inclusive, outside of all others. */
function applied(windows) {
	const week = new Uint8Array(7 * 1440).fill(windows.every(window => window.exclusive) ? 1 : 0);
	for (const window of windows.filter(one => !one.exclusive))
		minutes(window).forEach((inside, minute) => { week[minute] |= inside; });
	for (const window of windows.filter(one => one.exclusive))
		minutes(window).forEach((inside, minute) => { week[minute] &= 1 - inside; });
	return week;
}

/* Short names of days, by Monday first. */
function names() {
	return [ _('Mon'), _('Tue'), _('Wed'), _('Thu'), _('Fri'), _('Sat'), _('Sun') ];
}

function days_in_words(found) {
	const short = names();
	if (found.length === 7)
		return _('every day');
	const at = found[0];
	if (found.length > 2 && found.every((day, index) => day === at + index))
		return _('%s to %s', 'days of the week').format(short[at], short[found[found.length - 1]]);
	return found.map(day => short[day]).join(', ');
}

return baseclass.extend({
	KEYS: KEYS,
	DAY: DAY,
	seconds: seconds,
	clock: clock,
	days: days,
	read: read,
	names: names,

	/* Seven rows of 24: how much of an hour an action with these windows is applied, 0 none, 1 a part, 2 all of it. */
	week: windows => {
		const all = applied(windows);
		return KEYS.map((key, day) => Array.from({ length: 24 }, (none, hour) => {
			const part = all.subarray((day * 24 + hour) * 60, (day * 24 + hour + 1) * 60).reduce((sum, one) => sum + one, 0);
			return part === 0 ? 0 : part === 60 ? 2 : 1;
		}));
	},

	/* A window in words, such as "Mon to Fri, 21:00 to 06:30 (next day)". */
	words: window => {
		const when = window.wrong?.length ? _('%s (not understood)').format(window.wrong.join(', '))
			: window.start === 0 && window.end === DAY ? _('all day')
			: window.end <= window.start ? _('%s to %s (next day)').format(clock(window.start), clock(window.end))
			: _('%s to %s').format(clock(window.start), clock(window.end));
		const whole = _('%s, %s').format(days_in_words(window.days), when);
		return window.exclusive ? _('not %s').format(whole) : whole;
	}
});
