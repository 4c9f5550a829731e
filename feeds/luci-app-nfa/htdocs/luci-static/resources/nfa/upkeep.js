'use strict';
'require baseclass';
'require uci';
'require nfa.api as api';
'require nfa.names as names';
'require nfa.parts as parts';
'require nfa.words as words';

/*
 * What an owner does to a rule without opening it: pause it, give more of its budget, delete it with what belongs to it. Dialogs; what they
 * change is told to `done()`.
 */

const MORE = 1800;
/* When a pause until the morning ends. */
const MORNING = 6;
const DAYS = [ 'sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' ];

/* Seconds until the next morning, by the router's clock as the daemon tells it ("tue 21:30"), else by the browser's. */
function until_morning(local_time, now) {
	const [ , hour, minute ] = /([0-9]{1,2}):([0-9]{2})/.exec(local_time ?? '') ?? [ '', now.getHours(), now.getMinutes() ];
	const passed = Number(hour) * 3600 + Number(minute) * 60;
	return (MORNING * 3600 - passed + 86400 - 1) % 86400 + 1;
}

/* A moment by the router's clock: `local_time` is what it shows `now`. Without it by the browser's. */
function moment(time, local_time, now) {
	const [ , day, hour, minute ] = /^([a-z]{3})?\s*([0-9]{1,2}):([0-9]{2})/i.exec(local_time ?? '') ?? [];
	if (hour == null)
		return words.until(time);
	const today = Math.max(0, DAYS.indexOf(String(day).toLowerCase()));
	const minutes = today * 1440 + Number(hour) * 60 + Number(minute) + Math.round((time * 1000 - now.getTime()) / 60000);
	const text = `${String(Math.floor(minutes / 60) % 24).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`;
	const named = [ _('Sun'), _('Mon'), _('Tue'), _('Wed'), _('Thu'), _('Fri'), _('Sat') ];
	return Math.floor(minutes / 1440) === today ? text : `${named[Math.floor(minutes / 1440) % 7]} ${text}`;
}

/* Ask for how long a rule pauses. `local_time`: of the router, or nothing. */
function pause(name, local_time, done) {
	const morning = until_morning(local_time, new Date());
	const choice = (label, seconds) => words.button(label, 'action', () => api.pause(name, seconds).then(() => {
		dialog.close();
		return done();
	}));
	const dialog = parts.dialog(_('Pause %s').format(name), [
		E('p', {}, [ _('The rule does nothing meanwhile, also to what it blocks already. Then it acts again by itself.') ]),
		E('div', { 'class': 'nfa-pauses' }, [
			choice(_('15 minutes'), 900), choice(_('30 minutes'), 1800), choice(_('60 minutes'), 3600), choice(_('Until %d:00 in the morning').format(MORNING), morning)
		])
	], []);
}

/* What a device has left of a budget. */
function left(row) {
	if (row.spent)
		return _('used up');
	const amounts = [ ...(row.left_seconds == null ? [] : [ _('%s left').format(words.seconds(row.left_seconds)) ]), ...(row.left_bytes == null ? [] : [ _('%s left').format(words.bytes(row.left_bytes)) ]) ];
	return amounts.join(', ') || _('no limit today');
}

/* Give half an hour more of a budget to a device. `called(row)`: what the device of a row of the budget is called. */
function bonus(budget, called, done) {
	return api.budgets(undefined, 200, budget).then(answer => {
		const all = answer?.budgets ?? [];
		const rows = all.filter(row => row.left_seconds != null);
		const give = row => api.add_budget(budget, row.shared ? undefined : row.mac || row.device, MORE);
		const who = row => row.shared ? _('All together') : called(row);
		if (rows.length === 1 && rows[0].shared)
			return give(rows[0]).then(done);
		const text = answer == null ? _('The daemon does not answer.')
			: all.length && !rows.length ? _('The budget has no limit of time today.')
			: !all.length ? _('No device has used any of it yet: all have everything left.') : _('Half an hour more until the budget begins again.');
		const dialog = parts.dialog(_('More time: %s').format(budget), [
			E('p', {}, [ text ]),
			E('ul', { 'class': 'nfa-bonus' }, rows.map(row => E('li', {}, [
				E('span', {}, [ E('bdi', {}, [ who(row) ]), _(': '), left(row) ]),
				words.button(_('+30 min'), 'action', () => give(row).then(() => {
					dialog.close();
					return done();
				}), { 'aria-label': _('+30 min for %s').format(who(row)) })
			])))
		], [], { close: _('Close') });
		return dialog;
	});
}

/* Ask before a rule is deleted; what belongs to it goes with it where that is ticked. `remove()` deletes the rule itself, and saves. */
function remove_rule(name, remove) {
	const kinds = { target: _('target'), time_of_day: _('hours'), budget: _('budget'), exemption: _('list of exemptions'), device: _('device') };
	const rows = names.belongings(name).map((one, index) => ({ one, box: E('input', { 'type': 'checkbox', 'id': `nfa-belongs-${index}`, 'checked': '' }) }));
	const yes = words.button(_('Delete'), 'negative important', () => {
		rows.filter(({ box }) => box.checked).forEach(({ one }) => uci.remove(api.CONFIG, one.name));
		dialog.close();
		return remove();
	});
	const dialog = parts.dialog(_('Delete %s?').format(name), [
		...(rows.length ? [ E('p', {}, [ _('No other rule uses this, so it goes too:') ]) ] : [ E('p', {}, [ _('Nothing else belongs to it.') ]) ]),
		...rows.map(({ one, box }) => E('div', { 'class': 'nfa-check' }, [ box, E('label', { 'for': box.getAttribute('id') }, [ _('%s (%s)').format(one.name, kinds[one.type]) ]) ]))
	], [ yes ]);
}

return baseclass.extend({ until_morning: until_morning, moment: moment, left: left, pause: pause, bonus: bonus, remove_rule: remove_rule });
