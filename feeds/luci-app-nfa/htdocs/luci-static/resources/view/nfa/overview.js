'use strict';
'require view';
'require poll';
'require uci';
'require ui';
'require nfa.api as api';
'require nfa.chart as chart';
'require nfa.health as health';
'require nfa.listing as listing';
'require nfa.rates as rates';
'require nfa.rows as rows';
'require nfa.service as service';
'require nfa.traffic as traffic';
'require nfa.troubles as troubles';
'require nfa.words as words';

const SPAN = 300;
const EVERY = 3;
/* Milliseconds after which a daemon that does not answer is said not to. */
const PATIENCE = 2500;

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

return view.extend({
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load: () => Promise.all([
		api.status(), api.service(), api.starts(), uci.load(api.CONFIG).catch(() => null)
	]),

	render: function([ status, running, starts ]) {
		this.readonly = L.hasViewPermission() === false;
		this.busy = null;
		this.starts = starts;
		this.history = rates.history(SPAN);
		this.chart = chart.create(this.history, SPAN);
		this.offset = 0;

		const shown = E('div', {}, [
			E('h2', {}, [ _('Status') ]),
			this.render_state(),
			this.render_problems(),
			E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Matches per second') ]), this.chart.node ]),
			this.render_actions(),
			this.render_targets()
		]);
		this.show(status, running);
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
			allow: button(_('Switch on'), 'apply', () => service.switch_on())
		};
		return E('div', { 'class': 'cbi-section' }, [
			E('p', {}, [ this.state, ' ', this.advice ]),
			E('p', { 'style': 'display:flex;flex-wrap:wrap;gap:.5em' }, [ ...Object.values(this.buttons) ]),
			E('table', { 'class': 'table' }, Object.values(this.facts).map(line => line.node))
		]);
	},

	render_problems: function() {
		this.problems = troubles.list();
		this.well = E('p', {});
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ _('Problems') ]), this.well, this.problems.node ]);
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
		return Promise.race([ mine, late ]).then(([ status, running ]) => this.show(status, running));
	},

	/* What was asked before something was done tells how it was before. */
	ask_anew: function() {
		return Promise.race([ this.pending, new Promise(resolve => setTimeout(resolve, PATIENCE)) ]).catch(() => null).then(() => this.refresh());
	},

	show: function(status, running) {
		const time = performance.now() / 1000;
		const allowed = health.allowed(uci.get(api.CONFIG, 'main', 'enabled'));
		const state = health.state(status, running, allowed);
		if (status != null)
			this.offset = status.time - Date.now() / 1000;
		this.history.add(time, status?.flows.matched, status?.uptime);
		this.chart.draw(time);

		rows.text(this.state, state.text);
		rows.text(this.advice, state.advice);
		this.show_facts(status);
		this.show_problems(status);
		this.enabled = Object.assign({ enable: true, disable: true, allow: true }, health.possible(status, running, allowed));
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
		this.problems.show(found);
		rows.text(this.well, status == null ? _('Not known while the daemon does not answer.') : _('No problems.'));
		rows.hide(this.well, found.length > 0);
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
			.then(() => Promise.all([ api.starts(), service.settled() ]))
			.then(([ starts ]) => { this.starts = starts; })
			.finally(() => {
				this.busy = null;
				return this.ask_anew().then(() => {
					const usable = [ button, ...Object.values(this.buttons) ].find(one => one.style.display != 'none' && !one.disabled);
					usable?.focus();
				});
			});
	},

	told: function(answer) {
		if (!answer.loaded)
			throw new Error(_('The configuration cannot be used: see Problems.'));
		ui.addTimeLimitedNotification(null, [
			E('p', {}, [ _('The configuration was reloaded: %s, %s.').format(words.errors(answer.errors), words.warnings(answer.warnings)) ])
		], 5000, 'info');
	}
});
