'use strict';
'require view';
'require poll';
'require uci';
'require nfa.api as api';
'require nfa.bars as bars';
'require nfa.called as called';
'require nfa.glance as glance';
'require nfa.health as health';
'require nfa.limits as limits';
'require nfa.person as person';
'require nfa.rows as rows';
'require nfa.service as service';
'require nfa.troubles as troubles';
'require nfa.used as used';
'require nfa.words as words';

/*
 * Home: whether it is on and works, what is wrong, who does what now, what was used and blocked today, what is paused and what is
 * left of budgets. A router on which nothing is set up yet has cards to begin with instead.
 */

const CONFIG = api.CONFIG;
/* Seconds between questions: how things are; who does what now, as often as netifyd tells; what was used. */
const STATE = 5, NOW = 15, USED = 60;
/* Milliseconds after which a daemon that does not answer is said not to. */
const PATIENCE = 2500;
const MOST = 8;
/* Rows of budgets that are asked for: those of which least is left come first. */
const MOST_BUDGETS = 200;
/* Recipes to begin with. */
const BEGIN = [
	{ name: 'bedtime', title: _('Block an application'), text: _('YouTube on the tablet after nine, for example: what runs then stops.') },
	{ name: 'daily', title: _('An hour a day'), text: _('Games, films or a whole device for so long a day. You can give more time whenever you like.') },
	{ name: 'calls', title: _('Put calls first'), text: _('Calls stay clear while others download.') }
];

const section = (title, ...nodes) => E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]), ...nodes ]);
const title_of = item => called.device(item, uci.sections(CONFIG, 'device'), hosts);
const link_to = item => `#device=${encodeURIComponent(item.key)}`;
let hosts = {};

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: () => Promise.all([
		api.status(), api.service(), api.hosts().catch(() => ({})), uci.load(CONFIG).catch(() => null)
	]),

	render: function([ status, running, names ]) {
		bars.style();
		hosts = names;
		this.readonly = L.hasViewPermission() === false;
		this.since = 'today';
		this.state = E('strong', { 'role': 'status', 'aria-live': 'polite' });
		this.acts = this.buttons();
		this.problems = troubles.list();
		this.paused = limits.paused(this.readonly, () => this.refresh_state());
		this.budgets = limits.budgets(this.readonly, title_of, () => this.refresh_budgets());
		this.now = bars.list(_('Who does what now'), MOST);
		this.devices = bars.list(_('By device'), MOST);
		this.applications = bars.list(_('By application'), MOST);
		this.blocked = bars.list(_('Blocked today'), MOST);
		this.span = E('p', {});
		this.uncounted = E('p', {}, [ _('Who uses what is not counted.'), ' ', this.count_button() ]);
		this.own = E('div', {});
		this.title = E('h2', { 'tabindex': -1 }, [ _('Flow Actions') ]);
		this.parts = {
			problems: section(_('Problems'), this.problems.node), begin: this.begin(), paused: section(_('Paused'), this.paused.node),
			now: section(_('Now'), this.span, this.now.node), used: section(_('Used'), this.switches(), E('div', { 'class': 'nfa-sides' }, [
				E('div', {}, [ E('h4', {}, [ _('By device') ]), this.devices.node ]), E('div', {}, [ E('h4', {}, [ _('By application') ]), this.applications.node ])
			])),
			blocked: section(_('Blocked today'), this.blocked.node), budgets: section(_('Budgets'), this.budgets.node),
			uncounted: section(_('Used'), this.uncounted)
		};
		this.house = E('div', {}, [ ...Object.values(this.parts) ]);
		const shown = E('div', {}, [
			this.title,
			E('div', { 'class': 'cbi-section' }, [ E('p', { 'class': 'nfa-state' }, [ this.state, ...Object.values(this.acts) ]) ]),
			this.house, this.own
		]);
		this.show(status, running);
		window.addEventListener('hashchange', () => this.turn().then(() => this.one ? this.one.focus() : this.title.focus()));
		this.turn();
		poll.add(() => this.refresh_state(), STATE);
		poll.add(() => this.refresh_now(), NOW);
		poll.add(() => this.refresh_used(), USED);
		return shown;
	},

	/* The one button beside the sentence: one of these, or none. */
	buttons: function() {
		const button = (label, style, work) => words.button(label, style, () => work().then(() => this.refresh_state()), { 'disabled': this.readonly ? '' : null });
		return {
			start: button(_('Start'), 'apply', () => api.service_do('start').then(() => service.settled())),
			restart: button(_('Restart'), 'action', () => api.service_do('restart').then(() => service.settled())),
			resume: button(_('Resume everything'), 'apply', () => api.resume('all')),
			log: E('a', { 'class': 'btn cbi-button cbi-button-action', 'href': L.url('admin/services/nfa/log') }, [ _('Open the log') ])
		};
	},

	/* Cards for a router on which it is off, or on which nothing is set up yet. */
	begin: function() {
		const card = (title, text, button) => E('div', { 'class': 'nfa-card' }, [ E('h4', {}, [ title ]), E('p', {}, [ text ]), button ]);
		this.switch_on = card(_('Switch on'), _('Flow Actions starts, and from then on with the router.'),
			words.button(_('Switch on'), 'apply important', () => service.switch_on().then(() => this.refresh_state()), { 'disabled': this.readonly ? '' : null }));
		this.first_rules = E('div', {}, [
			E('h3', {}, [ _('To begin with') ]),
			E('div', { 'class': 'nfa-cards' }, BEGIN.map(({ name, title, text }) => card(title, text,
				E('a', { 'class': 'btn cbi-button cbi-button-action', 'href': L.url('admin/services/nfa/recipes') + `#recipe=${name}` }, [ title ])))),
			E('p', {}, [ E('a', { 'href': L.url('admin/services/nfa/recipes') }, [ _('All recipes') ]) ])
		]);
		return E('div', { 'class': 'cbi-section' }, [ E('div', { 'class': 'nfa-cards' }, [ this.switch_on ]), this.first_rules ]);
	},

	switches: function() {
		const button = (since, label) => E('button', {
			'type': 'button', 'class': 'btn cbi-button', 'data-since': since, 'aria-pressed': String(since === this.since),
			'click': () => {
				this.since = since;
				for (const one of this.spans) {
					one.setAttribute('aria-pressed', String(one.dataset.since === since));
					one.classList.toggle('cbi-button-action', one.dataset.since === since);
				}
				return this.refresh_used();
			}
		}, [ label ]);
		this.spans = [ button('today', _('Today')), button('7d', _('7 days')) ];
		this.spans[0].classList.add('cbi-button-action');
		return E('div', { 'class': 'nfa-switch', 'role': 'group', 'aria-label': _('Which time') }, [ ...this.spans ]);
	},

	count_button: function() {
		this.count = words.button(_('Count usage'), 'action', () => service.apply(_('Count usage'), 'usage', '1'), { 'disabled': this.readonly ? '' : null });
		return this.count;
	},

	/* One device, or all: as the address says. */
	turn: function() {
		const key = (/^#device=(.+)$/).exec(location.hash)?.[1];
		let wanted = null;
		try {
			wanted = key == null ? null : decodeURIComponent(key);
		}
		catch (error) {
			// No name of a device: all of them are shown.
		}
		this.one = wanted == null ? null : person.create(wanted, hosts, this.readonly);
		this.own.replaceChildren(...(this.one ? [ this.one.node ] : []));
		rows.hide(this.house, this.one != null);
		return Promise.all([ this.refresh_now(), this.refresh_used() ]);
	},

	/* How things are. A daemon that hangs is said to after some seconds, and is not asked more meanwhile. */
	refresh_state: function() {
		this.pending ??= Promise.all([ api.status(), api.service() ]).finally(() => { this.pending = null; });
		const late = new Promise(resolve => setTimeout(() => resolve([ null, { known: true, running: true } ]), PATIENCE));
		return Promise.race([ this.pending, late ]).then(([ status, running ]) => this.show(status, running));
	},

	show: function(status, running) {
		const may_run = health.allowed(uci.get(CONFIG, 'main', 'enabled'));
		const found = status == null ? [] : health.problems(status, status.time, name => uci.get(CONFIG, name)?.['.type']);
		const said = glance.sentence(status, running, may_run, found);
		const was = this.counts;
		this.counts = status?.usage?.on === true;
		this.limited = (status?.budgets?.names ?? []).length > 0;
		rows.text(this.state, said.text);
		for (const [ name, button ] of Object.entries(this.acts))
			rows.hide(button, name !== said.act);
		this.problems.show(found);
		this.paused.show(status?.paused ?? []);
		const is_off = said.key === 'off';
		const is_empty = status != null ? glance.is_idle(status) : is_off && uci.sections(CONFIG, 'action').every(action => !health.allowed(action.enabled));
		rows.hide(this.switch_on, !is_off);
		rows.hide(this.first_rules, !is_empty);
		const hidden = {
			problems: !found.length, begin: this.readonly || !(is_off || is_empty), paused: !status?.paused?.length,
			now: !this.counts, used: !this.counts, blocked: !this.counts || !this.any_blocked, budgets: !this.limited,
			uncounted: status == null || this.counts
		};
		for (const [ name, yes ] of Object.entries(hidden))
			rows.hide(this.parts[name], yes);
		// Where the configuration wants it and it is not counted, the daemon cannot.
		rows.hide(this.count, health.allowed(uci.get(CONFIG, 'main', 'usage')));
		if (was === false && this.counts)
			return Promise.all([ this.refresh_now(), this.refresh_used() ]);
		return null;
	},

	/* Who does what now: the running hour, twice. Until there are two answers, what there was in this hour. */
	refresh_now: function() {
		if (!this.counts || this.one)
			return Promise.resolve();
		return api.usage({ since: 'now' }).then(answer => {
			if (answer == null)
				return;
			const found = used.now(this.before, answer);
			// netifyd tells every 15 seconds: what is nearer to the last answer tells too little, or too much.
			if (found && found.seconds < NOW - 3)
				return;
			this.before = answer;
			rows.text(this.span, found ? _('In the last %s:').format(words.seconds(Math.round(found.seconds))) : _('In this hour so far:'));
			this.now.show((found?.devices ?? used.by_device(answer)).map(item => ({
				key: item.key, name: title_of(item), href: link_to(item), amount: item.down + item.up,
				text: found ? _('%s down, %s up').format(words.rate(item.down), words.rate(item.up)) : called.amounts(item),
				note: called.few(item.applications.map(({ application }) => called.application(application)), 3)
			})), found ? _('Nobody uses the network just now.') : _('Nothing yet.'));
		});
	},

	refresh_budgets: function() {
		return this.limited ? api.budgets(undefined, MOST_BUDGETS).then(answer => this.budgets.show(limits.scarce_first(answer?.budgets ?? []))) : Promise.resolve();
	},

	refresh_used: function() {
		if (this.one)
			return this.one.refresh();
		const since = this.since;
		return Promise.all(this.counts ? [ api.usage({ since }), api.usage({ since: 'today', by: 'action' }), this.refresh_budgets() ]
			: [ null, null, this.refresh_budgets() ]).then(([ answer, actions ]) => {
			if (answer == null || since !== this.since)
				return;
			const app = item => called.application(item.application), nothing = _('Nothing has been counted yet.');
			this.devices.show(used.by_device(answer).map(item => ({
				key: item.key, name: title_of(item), href: link_to(item), amount: item.down + item.up,
				text: called.amounts(item), note: called.minutes(item.applications, app)
			})), nothing);
			this.applications.show(used.by_application(answer).map(item => ({
				key: item.application, name: app(item), amount: item.down + item.up, text: called.amounts(item), note: called.minutes(item.devices, title_of)
			})), nothing);
			const blocked = actions ? used.blocked(actions) : [];
			this.any_blocked = blocked.length > 0;
			this.blocked.show(blocked.map(({ action, blocked_packets: count }) => ({
				key: action, name: action, href: uci.get(CONFIG, action)?.['.type'] === 'action' ? L.url('admin/services/nfa/policies') + `#edit=${action}` : '',
				amount: count, text: N_(count, '%s packet', '%s packets').format(words.count(count))
			})));
			rows.hide(this.parts.blocked, !this.any_blocked);
		});
	}
});
