'use strict';
'require view';
'require form';
'require uci';
'require ui';
'require dom';
'require poll';
'require nfa.api as api';
'require nfa.build as build';
'require nfa.configured as configured';
'require nfa.cookbook as cookbook';
'require nfa.fields as fields';
'require nfa.grids as grids';
'require nfa.health as health';
'require nfa.hours as hours';
'require nfa.names as names';
'require nfa.picker as picker';
'require nfa.routes as routes';
'require nfa.rows as rows';
'require nfa.sentence as sentence';
'require nfa.stored as stored';
'require nfa.traffic as traffic';
'require nfa.upkeep as upkeep';
'require nfa.week as week';
'require nfa.words as words';

/*
 * Rules: the actions in the order in which they are tried, each as a sentence; their schedules and budgets, what is exempt, and the settings
 * of the service. Columns that the daemon knows (state, hits) are polled.
 */

const CONFIG = api.CONFIG;
const column = build.column;
const byName = list => Object.fromEntries(list.map(field => [ field.name, field ]));
const sections = type => uci.sections(CONFIG, type);
const windows = () => Object.fromEntries(sections('time_of_day').map(section => [ section['.name'], hours.read(section) ]));

const few = sentence.few;

/* A grid whose rows can be moved by buttons too, and are never sorted by a column: their order counts. */
const Ordered = form.GridSection.extend({
	handleSort() {},
	checkDepends() { return false; },

	step(row, ahead) {
		const other = ahead ? row.previousElementSibling : row.nextElementSibling;
		if (other == null)
			return;
		row.parentNode.insertBefore(row, ahead ? other : other.nextSibling);
		uci.move(CONFIG, row.getAttribute('data-sid'), other.getAttribute('data-sid'), !ahead);
	},

	/* A rule like another one, below it; its editor opens, and who leaves that has none. */
	duplicate(section_id) {
		const name = names.free(section_id, uci.sections(CONFIG).map(section => section['.name']));
		const options = Object.entries(uci.get(CONFIG, section_id)).filter(([ option ]) => !option.startsWith('.'));
		this.map.addedSection = uci.add(CONFIG, 'action', name);
		uci.move(CONFIG, name, section_id, true);
		for (const [ option, value ] of options)
			uci.set(CONFIG, name, option, Array.isArray(value) ? [ ...value ] : value);
		return this.renderMoreOptionsModal(name);
	},

	renderRowActions(section_id) {
		const cell = this.super('renderRowActions', [ section_id ]);
		const move = (sign, label, ahead) => E('button', {
			'type': 'button', 'class': 'btn cbi-button', 'title': label, 'aria-label': label, 'disabled': this.map.readonly ? '' : null,
			'click': event => {
				event.preventDefault();
				this.step(event.currentTarget.closest('.tr'), ahead);
				event.currentTarget.focus();
			}
		}, [ sign ]);
		cell.classList.add('nfa-actions');
		cell.firstChild.insertBefore(E('button', {
			'type': 'button', 'class': 'btn cbi-button', 'aria-label': _('Duplicate %s').format(section_id), 'disabled': this.map.readonly ? '' : null,
			'click': ui.createHandlerFn(this, () => this.duplicate(section_id))
		}, [ _('Duplicate') ]), cell.querySelector('.cbi-button-remove'));
		cell.firstChild.insertBefore(move('\u2193', _('Try %s later').format(section_id), false), cell.firstChild.firstChild);
		cell.firstChild.insertBefore(move('\u2191', _('Try %s earlier').format(section_id), true), cell.firstChild.firstChild);
		return cell;
	}
});

return view.extend(configured.view(_('Rules'), {
	load() {
		return Promise.all([ api.all_actions(), api.all_targets(), api.status(), api.hosts().catch(() => ({})) ]);
	},

	render([ actions, targets, status, hosts ]) {
		picker.style();
		this.running = actions;
		this.hosts = hosts;
		this.targets = [ ...new Set([ ...build.names('target'), ...(targets ?? []).map(target => target.name) ]) ];
		this.types = Object.fromEntries((targets ?? []).map(target => [ target.name, target.type ]));
		sections('target').forEach(section => { this.types[section['.name']] = section.target_type; });
		this.local_time = status?.policy?.local_time;
		this.asked_at = Date.now();
		// LuCI takes descriptions for HTML: %h makes text of what the configuration says.
		this.clock = status?.policy?.zone ? _('Times are in the time zone %h, where it is now %h.').format(status.policy.zone, status.policy.local_time)
			: _('Times are in the time zone of the settings, else in that of the router (System).');

		const map = this.map = new form.Map(CONFIG, _('Rules'));
		map.tabbed = true;
		this.policies(map);
		this.schedules(map);
		this.budgets(map);
		this.exemptions(map);
		this.settings(map);
		this.elsewhere = E('div');
		return map.render().then(node => {
			this.show(actions);
			poll.add(() => api.all_actions().then(found => this.show(found)), 3);
			if (location.hash === '#add')
				window.setTimeout(() => node.querySelector('.cbi-section-create .cbi-button-add')?.click(), 0);
			const wanted = /^#edit=([A-Za-z0-9_]+)$/.exec(location.hash)?.[1];
			if (wanted && uci.get(CONFIG, wanted)?.['.type'] === 'action')
				window.setTimeout(() => this.grid.renderMoreOptionsModal(wanted), 0);
			const spared = /^#exempt=([A-Za-z0-9_]+)$/.exec(location.hash)?.[1];
			if (spared && uci.get(CONFIG, spared))
				window.setTimeout(() => this.spared(node, spared), 0);
			return E('div', {}, [ node, this.elsewhere ]);
		});
	},

	/* Somebody comes from a match, and has added an exemption to a policy, or to the list of those that hold for all. */
	spared(node, name) {
		const [ last ] = build.entries(name, fields.exemption()[0]).slice(-1);
		const all = name === stored.GLOBAL;
		ui.addNotification(null, [
			E('p', {}, [ all ? _('Once you press Save & Apply, no rule touches this:') : _('Once you press Save & Apply, the rule %s does not touch this:').format(name) ]),
			E('p', { 'style': 'overflow-wrap:anywhere' }, [ E('code', {}, [ last ?? '' ]) ])
		], 'info');
		const tab = place => place?.querySelector('.cbi-tabmenu [data-tab="exemption"] > a')?.click();
		if (all)
			tab(node);
		else
			this.grid.renderMoreOptionsModal(name).then(() => document.querySelector('.modal [data-name=exemption]')?.scrollIntoView({ block: 'center' }));
		// A page that is loaded again does not say it again.
		history.replaceState(null, '', location.pathname);
	},

	/* ---- actions ---- */

	policies(map) {
		const field = byName(fields.action());
		const s = this.grid = map.section(Ordered, 'action', _('Rules'), _('Rules are tried from top to bottom, and all that match apply, up to one with "Stop here". A rule with a priority of its own (see More, in its editor) is tried by that number: the lowest first, 100 if there is none; equal numbers in the order of this list.'));
		s.addremove = true;
		s.sortable = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a rule');
		s.modaltitle = section_id => _('Rule %s').format(section_id);
		grids.label_new(s, _('Name of a new rule'), null, 'rule');
		s.handleRemove = (section_id, event) => upkeep.remove_rule(section_id, () => form.GridSection.prototype.handleRemove.call(s, section_id, event));

		build.inline(s, field.enabled);
		const world = { get: name => uci.get(CONFIG, name), hosts: this.hosts };
		column(s, '_rule', _('Rule'), () => '').textvalue = section_id => {
			const { verb, what, code, rest, parts: more } = sentence.say(uci.get(CONFIG, section_id), world);
			return E('span', { 'class': 'nfa-sentence' }, [
				E('strong', {}, [ verb ]), ' ', code ? E('code', {}, [ code ]) : E('bdi', {}, [ what ]), ...(rest ? [ ' ', rest ] : []), ...more.flatMap(text => [ ' \u00b7 ', E('bdi', {}, [ text ]) ])
			]);
		};
		column(s, '_hits', _('State'), () => '').textvalue = section_id => {
			const text = E('span'), buttons = E('span');
			const cell = E('span', { 'class': 'nfa-state', 'data-nfa-action': section_id }, [ text, buttons ]);
			this.tell(cell, section_id);
			return cell;
		};
		s.addModalOptions = (modal, section_id) => this.editor(modal, section_id, field);
	},

	/* One dialog in the order in which a person thinks: what to do, with what and whose, when, after how much, except what. */
	editor(s, section_id, field) {
		s.tab('policy', _('Rule'));
		s.tab('more', _('More'));
		const target = build.add(s, field.target, { tab: 'policy', type: build.Doing });
		target.from = () => this.targets.map(name => ({ value: name, label: name, note: this.types[name] ?? '' }));
		build.add(s, field.criteria, { tab: 'policy', type: build.Criteria });
		const exempt = build.add(s, field.exemption, { tab: 'policy', type: build.Exemptions });
		exempt.lists = () => build.names('exemption').filter(name => name !== stored.GLOBAL);
		exempt.description = _('What this rule does not touch: applications, devices, addresses or networks at either end, lists of the tab Exemptions, or expressions.');
		const when = build.add(s, field.time_of_day, { tab: 'policy', type: build.Hours });
		when.windows = windows;
		when.description = this.clock;
		build.add(s, field.budget, { tab: 'policy', type: build.Budget });
		for (const name of [ 'enabled', 'interface', 'halt_on_match', 'priority' ])
			build.add(s, field[name], { tab: 'more' });
		this.grid.saved = () => this.network(section_id);
	},

	/* Another WAN needs routes, which the network's own configuration has: they are written with the rule, where this login may. */
	network(section_id) {
		const there = uci.sections(CONFIG);
		const routed = stored.entries(uci.get(CONFIG, section_id), 'target', 'targets').some(name => uci.get(CONFIG, name, 'route'));
		if (!routed)
			return Promise.resolve();
		return Promise.all([ api.routes(cookbook.targets(there, { sections: [] })), routes.allowed() ]).then(([ answer, may ]) => {
			const changes = answer.changes.filter(({ value }) => value != null);
			if (!changes.length)
				return null;
			return (may ? routes.stage(changes) : Promise.resolve()).then(() => ui.addNotification(null, [
				E('p', {}, [ may ? _('The other WAN needs this too. It is written with the rule, once you press Save & Apply:') : routes.forbidden() ]),
				E('pre', { 'class': 'nfa-copy' }, [ routes.text(changes) ])
			], may ? 'info' : 'warning'));
		}).catch(error => words.complain(_('What the network lacks for the other WAN is not known'), error));
	},

	/* ---- what the daemon says of them ---- */

	tell(cell, name) {
		const action = this.running?.find(one => one.name === name);
		const state = this.running == null ? { text: _('the daemon does not answer'), note: '' }
			: action == null ? { text: _('not active yet'), note: '' } : health.action(action);
		const paused = Boolean(action?.enabled && action.active && action.paused_until);
		const met = action?.traffic ? traffic.lines(action.traffic, traffic.of_targets(action.targets)) : [];
		const note = paused ? _('until %s').format(upkeep.moment(action.paused_until, this.local_time, new Date(this.asked_at))) : state.note;
		const [ text, buttons ] = cell.childNodes;
		rows.attribute(text, 'data-hits', action?.matches ?? '');
		const lines = [ state.text + (paused ? ` ${note}` : ''), ...(note && !paused ? [ note ] : []), action ? N_(action.matches, '%s hit', '%s hits').format(words.count(action.matches)) : '', ...met ].filter(line => line);
		const key = JSON.stringify(lines);
		if (text.getAttribute('data-shown') !== key) {
			text.setAttribute('data-shown', key);
			dom.content(text, lines.flatMap((line, index) => index ? [ E('br'), E('small', {}, [ line ]) ] : [ E('strong', {}, [ line ]) ]));
		}
		this.offer(buttons, name, action, paused);
	},

	/* What can be done to a rule now: pause or resume, and more of its budget. They stay as long as they are the same. */
	offer(place, name, action, paused) {
		const usable = action?.enabled && action.active;
		const kind = JSON.stringify([ usable, paused, action?.budget ?? '' ]);
		if (place.getAttribute('data-kind') === kind)
			return;
		place.setAttribute('data-kind', kind);
		const again = () => api.all_actions().then(found => this.show(found));
		const button = (label, title, work) => words.button(label, 'neutral', work, { 'aria-label': title, 'disabled': this.map.readonly ? '' : null });
		dom.content(place, !usable ? [] : [
			paused ? button(_('Resume'), _('Resume %s').format(name), () => api.resume(name).then(again))
				: button(_('Pause'), _('Pause %s').format(name), () => api.status().then(status => upkeep.pause(name, status?.policy?.local_time, again))),
			...(action.budget ? [ button(_('+30 min'), _('+30 min of %s').format(action.budget), () =>
				upkeep.bonus(action.budget, row => this.called(row), again).then(() => null)) ] : [])
		]);
	},

	/* What the device of a row of a budget is called. */
	called(row) {
		return uci.get(CONFIG, row.device)?.title || this.hosts[String(row.mac ?? '').toUpperCase()] || row.device || row.mac;
	},

	show(found) {
		this.running = found;
		for (const cell of this.map.root.querySelectorAll('[data-nfa-action]'))
			this.tell(cell, cell.getAttribute('data-nfa-action'));
		const own = new Set(build.names('action'));
		const others = (found ?? []).filter(action => !own.has(action.name));
		const key = JSON.stringify(others.map(action => [ action.name, action.matches, health.action(action), action.targets ]));
		if (key === this.others)
			return;
		this.others = key;
		dom.content(this.elsewhere, [ ...(others.length ? [
			E('h3', {}, [ _('Rules that are not in this list') ]),
			E('p', {}, [ _('They come from a JSON file, or were deleted here and stay active until the changes are applied. They cannot be changed on this page.') ]),
			E('table', { 'class': 'table' }, [
				E('tr', { 'class': 'tr table-titles' }, [ _('Name'), _('State'), _('Targets'), _('Hits') ].map(title =>
					E('th', { 'class': 'th', 'scope': 'col' }, [ title ]))),
				...others.map(action => E('tr', { 'class': 'tr' }, [
					[ _('Name'), action.name ], [ _('State'), health.action(action).text, health.action(action).note ],
					[ _('Targets'), few(action.targets ?? []) ], [ _('Hits'), words.count(action.matches) ]
				].map(([ title, text, note ]) => E('td', { 'class': 'td', 'data-title': title }, [ E('div', {}, [ text, ...(note ? [ E('br'), E('small', {}, [ note ]) ] : []) ]) ]))))
			])
		] : []) ]);
	},

	/* ---- schedules, exemptions, settings ---- */

	schedules(map) {
		const field = byName(fields.time_of_day());
		const s = map.section(form.GridSection, 'time_of_day', _('Schedules'), this.clock);
		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a schedule');
		s.modaltitle = section_id => _('Schedule %s').format(section_id);
		s.handleSort = () => {};
		grids.label_new(s, _('Name of a new schedule'));
		column(s, '_hours', _('Hours'), section_id => hours.words(hours.read(uci.get(CONFIG, section_id))));
		column(s, '_used', _('Rules'), section_id => few(names.policies('time_of_day', section_id)) || _('none'));
		s.addModalOptions = modal => {
			const preview = E('div');
			const options = {};
			const show = section_id => {
				const value = name => options[name].formvalue(section_id);
				dom.content(preview, [ week.table([ hours.read({
					day: value('day'), time_start: value('time_start'), time_end: value('time_end'), policy: value('policy')
				}) ]) ]);
			};
			const time = latest => (section_id, value) => !value || hours.seconds(value, latest) != null ? true
				: _('Expected: %s').format(latest === hours.DAY ? _('a time from 0:00 to 24:00') : _('a time from 0:00 to 23:59:59'));
			options.day = build.add(modal, field.day, { type: build.Own });
			options.day.widget = (section_id, value, given) => new week.Days(value, given);
			options.time_start = build.add(modal, field.time_start, { type: build.Value, check: time(hours.DAY - 1) });
			options.time_end = build.add(modal, field.time_end, { type: build.Value, check: time(hours.DAY) });
			options.policy = build.add(modal, field.policy, { type: build.Select });
			options.policy.default = 'inclusive';
			field.policy.choices.forEach(([ value, text ]) => options.policy.value(value, text));
			Object.values(options).forEach(option => { option.onchange = (event, section_id) => show(section_id); });
			const picture = modal.option(form.DummyValue, '_week', _('The week'), this.clock);
			picture.renderWidget = section_id => {
				dom.content(preview, [ week.table([ hours.read(uci.get(CONFIG, section_id)) ]) ]);
				return preview;
			};
		};
	},

	budgets(map) {
		const field = byName(fields.budget());
		const s = map.section(form.GridSection, 'budget', _('Budgets'), _('How much a device may have in a day or week before a rule acts: time or data.'));
		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a budget');
		s.modaltitle = section_id => _('Budget %s').format(section_id);
		s.handleSort = () => {};
		grids.label_new(s, _('Name of a new budget'));
		column(s, '_says', _('Rules act'), section_id => sentence.budget(uci.get(CONFIG, section_id)));
		column(s, '_used', _('Rules'), section_id => few(names.policies('budget', section_id)) || _('none'));
		s.addModalOptions = modal => {
			for (const name of [ 'time', 'bytes', 'period', 'start', 'day', 'shared' ])
				build.add(modal, field[name]);
			const free = build.add(modal, field.exempt_time, { type: build.Hours });
			free.windows = windows;
			free.description = _('Hours in which nothing is counted, and the rules do nothing.');
			build.verdict(modal, '_verdict', [], values => values.time || values.bytes ? '' : _('Say how much time or data.'));
		};
	},

	exemptions(map) {
		const [ field ] = fields.exemption();
		const s = map.section(form.GridSection, 'exemption', _('Exemptions'), _('What the list "global" names is touched by no rule. Other lists apply to the rules that name them.'));
		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a list');
		s.modaltitle = section_id => section_id === stored.GLOBAL ? _('Exempt from all rules') : _('Exemptions %s').format(section_id);
		s.handleSort = () => {};
		grids.label_new(s, _('Name of a new list'), node => {
			if (uci.get(CONFIG, stored.GLOBAL) == null)
				node.appendChild(E('button', {
					'type': 'button', 'class': 'btn cbi-button cbi-button-add', 'disabled': map.readonly ? '' : null,
					'click': ui.createHandlerFn(s, event => s.handleAdd(event, stored.GLOBAL))
				}, [ _('Exempt from all rules') ]));
		});
		column(s, '_for', _('For'), section_id => section_id === stored.GLOBAL ? _('all rules') : few(names.policies('exemption', section_id)) || _('no rule'));
		column(s, '_entries', _('Exempt'), section_id => few(build.entries(section_id, field).map(entry => this.hosts[entry.toUpperCase()] ?? entry)) || _('nothing'));
		s.addModalOptions = modal => {
			const option = build.add(modal, field, { type: build.Exemptions });
			option.description = _('Devices, addresses or networks at either end, or expressions.');
		};
	},

	settings(map) {
		const s = map.section(form.NamedSection, 'main', 'nfa', _('Settings'));
		s.addremove = uci.get(CONFIG, 'main') == null;
		s.addbtntitle = _('Change the settings');
		for (const field of fields.main())
			build.add(s, field);
	}
}));
