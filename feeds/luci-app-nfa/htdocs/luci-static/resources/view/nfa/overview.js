'use strict';
'require view';
'require poll';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.chart as chart';
'require nfa.health as health';
'require nfa.listing as listing';
'require nfa.parts as parts';
'require nfa.rates as rates';
'require nfa.routes as routes';
'require nfa.rows as rows';
'require nfa.traffic as traffic';
'require nfa.words as words';

const SPAN = 300;
const EVERY = 3;
/* Milliseconds after which a daemon that does not answer is said not to. */
const PATIENCE = 2500;
const PROBLEMS = 5;

const PAGE_NAMES = { policies: _('Policies'), targets: _('Targets'), sets: _('Sets'), log: _('Log') };

/* A line of a table: what, and how it is. Returns { node, say(text, advice) }. */
function fact(title) {
	const value = E('span', {}), advice = E('div', { 'style': 'opacity:.8' });
	const node = E('tr', { 'class': 'tr' }, [
		E('th', { 'class': 'td left', 'scope': 'row', 'width': '33%' }, [ title ]),
		E('td', { 'class': 'td left' }, [ value, advice ])
	]);
	return {
		node: node,
		/* Without a text the line is out of sight. */
		say: (text, more) => {
			rows.hide(node, !text);
			rows.text(value, text);
			rows.text(advice, more ?? '');
		}
	};
}

function problem(item) {
	const label = E('span', {}), text = E('span', {}), go = E('a', {});
	const place = E('div', { 'style': 'opacity:.8;overflow-wrap:anywhere' });
	// What is mended right here.
	const here = item.code == 'route-not-applied'
		? [ ' ', words.button(_('Set up the routes'), 'action', () => routes.open(), { 'disabled': L.hasViewPermission() === false ? '' : null }) ] : [];
	const node = E('div', { 'role': 'listitem', 'style': 'margin-bottom:.7em' }, [
		E('div', {}, [ label, ' ', text, ' ', go, ...here ]), place
	]);
	return {
		node: node,
		update: () => {
			const page = PAGE_NAMES[item.page];
			rows.attribute(label, 'class', item.severity == 'error' ? 'label warning' : 'label notice');
			rows.text(label, item.severity == 'error' ? _('Error') : _('Warning'));
			rows.text(text, item.text);
			rows.text(place, item.place ? _('Where: %s').format(item.place) : '');
			rows.hide(go, !page);
			rows.text(go, page ? _('Go to %s').format(page) : '');
			rows.attribute(go, 'href', page ? L.url('admin/services/nfa', item.page) : null);
		}
	};
}

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: () => Promise.all([
		api.status(), api.service(), api.starts(), uci.load(api.CONFIG).catch(() => null)
	]),

	render: function([ status, service, starts ]) {
		this.readonly = L.hasViewPermission() === false;
		this.busy = null;
		this.starts = starts;
		this.history = rates.history(SPAN);
		this.chart = chart.create(this.history, SPAN);
		this.offset = 0;

		const shown = E('div', {}, [
			E('h2', {}, [ _('Flow Actions') ]),
			this.render_state(),
			this.render_problems(),
			E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Matches per second') ]), this.chart.node ]),
			this.render_actions(),
			this.render_targets()
		]);
		this.show(status, service);
		poll.add(() => this.refresh(), EVERY);
		return Promise.all([ this.actions.refresh(), this.targets.refresh() ]).then(() => shown);
	},

	render_state: function() {
		this.state = E('strong', { 'role': 'status', 'aria-live': 'polite' });
		this.advice = E('span', {});
		this.facts = {
			agent: fact(_('netifyd')), policy: fact(_('Policy')), flows: fact(_('Flows')), boot: fact(_('Starts with the router')),
			since: fact(_('Uptime')), memory: fact(_('Memory'))
		};
		const button = (label, style, work) => E('button', {
			'type': 'button', 'class': `btn cbi-button cbi-button-${style}`,
			'click': event => this.act(event.currentTarget, label, work)
		}, [ label ]);
		this.buttons = {
			start: button(_('Start'), 'apply', () => api.service_do('start')),
			stop: button(_('Stop'), 'remove', () => api.service_do('stop')),
			restart: button(_('Restart'), 'action', () => api.service_do('restart')),
			reload: button(_('Reload'), 'reload', () => api.reload().then(answer => this.told(answer))),
			enable: button(_('Start with the router'), 'action', () => api.service_do('enable')),
			disable: button(_('Do not start with the router'), 'action', () => api.service_do('disable')),
			allow: button(_('Enable'), 'apply', () => this.allow())
		};
		return E('div', { 'class': 'cbi-section' }, [
			E('p', {}, [ this.state, ' ', this.advice ]),
			E('p', { 'style': 'display:flex;flex-wrap:wrap;gap:.5em' }, [ ...Object.values(this.buttons) ]),
			E('table', { 'class': 'table' }, Object.values(this.facts).map(line => line.node))
		]);
	},

	render_problems: function() {
		const list = E('div', { 'role': 'list' });
		this.problems = rows.keyed(list, item => `${item.severity} ${item.place} ${item.text}`, problem);
		this.well = E('p', {});
		this.more = E('button', {
			'type': 'button', 'class': 'btn cbi-button',
			'click': () => { this.all = true; this.refresh(); }
		});
		const link = (page, text) => E('a', { 'href': L.url('admin/services/nfa', page) }, [ text ]);
		this.idle = E('p', {}, [
			E('strong', {}, [ _('No policy is enabled, so nothing is done with any flow.') ]), ' ',
			link('recipes', _('Create one from a recipe')), ' | ', link('policies', _('Enable one, or write one'))
		]);
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Problems') ]), this.well, this.idle, list, this.more ]);
	},

	/* A list of what the daemon has of something, with its title. */
	render_list: function(title, options) {
		const list = listing.create(Object.assign({
			label: title, key: item => item.name, count: answer => answer.total, page: 25,
			away: () => _('The daemon does not answer. This page shows what it reported last, if anything.')
		}, options));
		return { refresh: list.refresh, node: E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]), list.node ]) };
	},

	render_actions: function() {
		this.actions = this.render_list(_('Policies'), {
			name: 'actions', ask: api.actions, find: _('Search policies'), id: 'nfa-search-policies',
			empty: _('There is no policy yet. The page Recipes has some to start with.'),
			columns: [
				{ title: _('Policy'), text: item => item.name },
				{ title: _('State'), text: health.action },
				{ title: _('Hits'), text: item => words.count(item.matches) },
				{ title: _('Last hit'), text: item => words.ago(item.last_match, this.now()) },
				{ title: _('Targets'), text: item => item.targets.length ? item.targets.join(', ') : _('none') },
				{ title: _('Packets'), text: item => item.traffic ? traffic.lines(item.traffic, traffic.of_targets(item.targets)) : '' }
			]
		});
		return this.actions.node;
	},

	render_targets: function() {
		this.targets = this.render_list(_('Targets'), {
			name: 'targets', ask: api.targets, find: _('Search targets'), id: 'nfa-search-targets', empty: _('There is no target yet.'),
			columns: [
				{ title: _('Target'), text: item => item.name },
				{ title: _('Type'), text: item => item.type },
				{ title: _('State'), text: health.target },
				{ title: _('Elements'), text: item => item.type == 'sink'
					? [ _('%s waiting').format(words.count(item.elements)), N_(item.readers, '%d reader', '%d readers').format(item.readers) ]
					: words.count(item.elements) },
				{ title: _('Packets'), text: item => item.traffic ? traffic.lines(item.traffic, traffic.of_targets([ item.name ])).slice(1) : '' },
				{ title: _('Added'), text: item => words.count(item.added) },
				{ title: _('Errors'), text: item => [
					words.count(item.errors),
					item.errors && item.last_error ? _('%s: %s').format(words.ago(item.last_error_at, this.now()), item.last_error) : ''
				] }
			]
		});
		return this.targets.node;
	},

	/* The router's clock. */
	now: function() {
		return Date.now() / 1000 + this.offset;
	},

	/* Ask, and show what comes. A daemon that hangs is said to after some seconds, and is not asked more meanwhile. */
	refresh: function() {
		if (this.pending == null)
			this.pending = Promise.all([ api.status(), api.service(), this.actions.refresh(), this.targets.refresh() ]).finally(() => {
				this.pending = null;
			});
		const mine = this.pending;
		const late = new Promise(resolve => setTimeout(() => resolve([ null, { known: true, running: true } ]), PATIENCE));
		return Promise.race([ mine, late ]).then(([ status, service ]) => this.show(status, service));
	},

	/* What was asked before something was done tells how it was before. */
	ask_anew: function() {
		return Promise.race([ this.pending, new Promise(resolve => setTimeout(resolve, PATIENCE)) ]).catch(() => null).then(() => this.refresh());
	},

	show: function(status, service) {
		const time = performance.now() / 1000;
		const allowed = health.allowed(uci.get(api.CONFIG, 'main', 'enabled'));
		const state = health.state(status, service, allowed);
		if (status != null)
			this.offset = status.time - Date.now() / 1000;
		this.history.add(time, status?.flows.matched, status?.uptime);
		this.chart.draw(time);

		rows.text(this.state, state.text);
		rows.text(this.advice, state.advice);
		this.show_facts(status);
		this.show_problems(status);
		this.enabled = Object.assign({ enable: true, disable: true, allow: true }, health.possible(status, service, allowed));
		rows.hide(this.buttons.allow, allowed);
		this.show_buttons();
	},

	show_facts: function(status) {
		this.facts.boot.say(this.starts == null ? _('not known') : this.starts ? _('yes') : _('no'));
		if (status == null) {
			for (const name of [ 'agent', 'policy', 'flows', 'since', 'memory' ])
				this.facts[name].say('');
			return;
		}
		const agent = health.agent(status.source), policy = status.policy, flows = status.flows;
		this.facts.agent.say(agent.text, agent.advice);
		this.facts.policy.say(policy.generation
			? _('Number %d since the start, active for %s, %s, %s').format(
				policy.generation, words.seconds(Math.max(0, this.now() - policy.loaded_at)), words.errors(policy.errors), words.warnings(policy.warnings))
			: _('No active policy'), policy.local_time ? _('Schedules: it is %s (%s)').format(policy.local_time, policy.zone) : '');
		this.facts.flows.say(_('%s evaluated, %s matched, %s exempt, %s active').format(
			words.count(flows.evaluated), words.count(flows.matched), words.count(flows.exempt), words.count(flows.live)));
		this.facts.since.say(_('%s, version %s').format(words.seconds(status.uptime), status.version));
		this.facts.memory.say(_('%s MiB').format((status.memory.rss_kb / 1024).toFixed(1)));
	},

	show_problems: function(status) {
		const found = status != null ? health.problems(status, this.now(), name => uci.get(api.CONFIG, name)?.['.type']) : [];
		const first = this.all ? found : found.slice(0, PROBLEMS);
		this.problems(first);
		rows.text(this.well, status == null ? _('Not known while the daemon does not answer.') : _('No problems.'));
		const idle = status?.actions != null && !status.actions_left_out && Object.values(status.actions).every(action => !action.enabled);
		rows.hide(this.well, found.length > 0 || idle);
		rows.hide(this.idle, !idle);
		rows.hide(this.more, first.length == found.length);
		rows.text(this.more, _('Show all %d').format(found.length));
	},

	show_buttons: function() {
		for (const [ name, button ] of Object.entries(this.buttons)) {
			button.disabled = this.readonly || this.busy != null || !this.enabled[name];
			button.classList.toggle('spinning', this.busy === button);
		}
		rows.hide(this.buttons.enable, this.starts === true);
		rows.hide(this.buttons.disable, this.starts !== true);
	},

	/* Do what a button says; all of them wait until it is done and its effect is shown. */
	act: function(button, label, work) {
		this.busy = button;
		this.show_buttons();
		return Promise.resolve().then(work)
			.catch(error => words.complain(_('%s failed').format(label), error))
			.then(() => Promise.all([ api.starts(), this.settled() ]))
			.then(([ starts ]) => { this.starts = starts; })
			.finally(() => {
				this.busy = null;
				return this.ask_anew().then(() => {
					const usable = [ button, ...Object.values(this.buttons) ].find(one => one.style.display != 'none' && !one.disabled);
					usable?.focus();
				});
			});
	},

	/* Wait, some seconds at the most, until a daemon that was started answers. */
	settled: function(left) {
		return Promise.all([ api.status(), api.service() ]).then(([ status, service ]) => {
			if (status != null || !service.running || left === 0)
				return null;
			return new Promise(resolve => setTimeout(resolve, 500)).then(() => this.settled((left ?? 16) - 1));
		});
	},

	told: function(answer) {
		if (!answer.loaded)
			throw new Error(_('The configuration cannot be used: see Problems.'));
		ui.addTimeLimitedNotification(null, [
			E('p', {}, [ _('The configuration was reloaded: %s, %s.').format(words.errors(answer.errors), words.warnings(answer.warnings)) ])
		], 5000, 'info');
	},

	/* Let the service run: the option of its section, applied as Save & Apply does. */
	allow: function() {
		const apply = () => {
			uci.set(api.CONFIG, 'main', 'enabled', '1');
			return uci.save().then(() => ui.changes.apply(true));
		};
		return uci.changes().then(changes => {
			const count = Object.values(changes ?? {}).reduce((sum, list) => sum + list.length, 0);
			return count ? this.ask_first(count).then(yes => yes ? apply() : null) : apply();
		});
	},

	/* LuCI applies all changes that wait, whoever made them. */
	ask_first: count => new Promise(resolve => {
		const yes = words.button(_('Apply all, and enable'), 'apply important', () => {
			question.close();
			resolve(true);
		});
		const question = parts.dialog(_('Enable'), [
			E('p', {}, [ N_(count, '%d change is waiting to be applied, perhaps from another page. LuCI can only apply it together with this one.',
				'%d changes are waiting to be applied, perhaps from other pages. LuCI can only apply them together with this one.').format(count) ]),
			E('p', {}, [ _('To review them first, press Cancel and then Unsaved Changes at the top of the page.') ])
		], [ yes ], { closed: () => resolve(false) });
	})
});
