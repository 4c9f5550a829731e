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
'require nfa.criteria as criteria';
'require nfa.fields as fields';
'require nfa.health as health';
'require nfa.hours as hours';
'require nfa.names as names';
'require nfa.picker as picker';
'require nfa.stored as stored';
'require nfa.traffic as traffic';
'require nfa.week as week';
'require nfa.words as words';

/*
 * Policies: the actions in the order in which they are tried, their schedules, what is exempt, and the settings of the
 * service. Columns that the daemon knows (state, hits) are polled.
 */

const CONFIG = api.CONFIG;
const column = build.column;
const byName = list => Object.fromEntries(list.map(field => [ field.name, field ]));
const sections = type => uci.sections(CONFIG, type);
const windows = () => Object.fromEntries(sections('time_of_day').map(section => [ section['.name'], hours.read(section) ]));

/* A few names of a list, and how many more there are. */
function few(list) {
	return list.length <= 3 ? list.join(', ') : _('%s and %d more').format(list.slice(0, 2).join(', '), list.length - 2);
}

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
		cell.firstChild.insertBefore(move('\u2193', _('Try %s later').format(section_id), false), cell.firstChild.firstChild);
		cell.firstChild.insertBefore(move('\u2191', _('Try %s earlier').format(section_id), true), cell.firstChild.firstChild);
		return cell;
	}
});

return view.extend(configured.view(_('Policies'), {
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
		// LuCI takes descriptions for HTML: %h makes text of what the configuration says.
		this.clock = status?.policy?.zone ? _('Times are in the time zone %h, where it is now %h.').format(status.policy.zone, status.policy.local_time)
			: _('Times are in the time zone of the settings, else in that of the router (System).');

		const map = this.map = new form.Map(CONFIG, _('Policies'));
		map.tabbed = true;
		this.policies(map);
		this.schedules(map);
		this.exemptions(map);
		this.settings(map);
		this.elsewhere = E('div');
		return map.render().then(node => {
			this.show(actions);
			poll.add(() => api.all_actions().then(found => this.show(found)), 3);
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
			E('p', {}, [ all ? _('Once you press Save & Apply, this is exempt from all policies:') : _('Once you press Save & Apply, this is exempt from the policy %s:').format(name) ]),
			E('p', { 'style': 'overflow-wrap:anywhere' }, [ E('code', {}, [ last ?? '' ]) ])
		], 'info');
		const tab = place => place?.querySelector('.cbi-tabmenu [data-tab="%s"] > a'.format(all ? 'exemption' : 'exempt'))?.click();
		if (all)
			tab(node);
		else
			this.grid.renderMoreOptionsModal(name).then(() => tab(document.querySelector('.modal')));
		// A page that is loaded again does not say it again.
		history.replaceState(null, '', location.pathname);
	},

	/* ---- actions ---- */

	policies(map) {
		const field = byName(fields.action());
		const s = this.grid = map.section(Ordered, 'action', _('Policies'), _('A policy says which flows it matches and what happens to them. Policies are tried from top to bottom, and all that match apply, up to one with "Stop here". A policy with a priority of its own (see More, in its editor) is tried by that number: the lowest first, 100 if there is none; equal numbers in the order of this list.'));
		s.addremove = true;
		s.sortable = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a policy');
		s.modaltitle = section_id => _('Policy %s').format(section_id);
		build.label_new(s, _('Name of a new policy'));

		build.inline(s, field.enabled);
		const said = section_id => criteria.parse(build.entries(section_id, field.criteria));
		column(s, '_what', _('What'), section_id => {
			const choices = said(section_id);
			if (choices == null)
				return E('code', {}, [ few(build.entries(section_id, field.criteria)) || _('nothing yet') ]);
			const named = [ ...choices.apps, ...choices.protocols, ...choices.categories ].map(name => name.replace(/^netify\./, ''));
			const where = [ ...choices.remotes, ...choices.ports.map(port => _('port %s').format(port)) ];
			return where.length ? _('%s to %s').format(few(named) || _('everything'), few(where)) : few(named) || _('everything');
		});
		column(s, '_who', _('Whose'), section_id => {
			const choices = said(section_id);
			const named = [ ...(choices?.devices ?? []).map(address => this.hosts[address] ?? address), ...(choices?.networks ?? []) ];
			return choices == null ? _('as written') : few(named) || _('everyone\'s');
		});
		column(s, '_when', _('When'), section_id => {
			const known = windows();
			const hold = build.entries(section_id, field.time_of_day);
			return hold.length ? hold.map(name => Object.hasOwn(known, name) ? hours.words(known[name]) : name).join('; ') : _('always');
		});
		column(s, '_targets', _('Targets'), section_id => few(build.entries(section_id, field.target)) || _('none'));
		const hits = column(s, '_hits', _('Hits'), () => '');
		hits.textvalue = section_id => {
			const cell = E('span', { 'data-nfa-action': section_id });
			this.tell(cell, section_id);
			return cell;
		};
		s.addModalOptions = (modal, section_id) => this.editor(modal, section_id, field);
	},

	editor(s, section_id, field) {
		s.tab('policy', _('Policy'));
		s.tab('exempt', _('Exemptions'));
		s.tab('more', _('More'));
		build.add(s, field.enabled, { tab: 'policy' });
		build.add(s, field.criteria, { tab: 'policy', type: build.Criteria });
		const target = build.add(s, field.target, { tab: 'policy', type: build.Names });
		target.placeholder = _('Type to search');
		target.from = () => this.targets.map(name => ({ value: name, label: name, note: this.types[name] ?? '' }));
		const hint = s.taboption('policy', form.DummyValue, '_targets_hint', ' ');
		hint.renderWidget = () => E('div', {}, [ E('a', { 'href': L.url('admin/services/nfa/targets') }, [ _('Create targets here.') ]),
			' ', E('a', { 'href': L.url('admin/services/nfa/recipes') }, [ _('A recipe creates everything that is needed.') ]) ]);
		const when = build.add(s, field.time_of_day, { tab: 'policy', type: build.Own });
		when.load = id => build.entries(id, field.time_of_day);
		when.widget = (id, value, options) => new week.Hours(value ?? [], Object.assign(options, { windows: windows() }));
		when.description = this.clock;
		const exempt = build.add(s, field.exemption, { tab: 'exempt', type: build.Exemptions });
		exempt.lists = () => build.names('exemption').filter(name => name !== stored.GLOBAL);
		exempt.description = _('Flows that are exempt from this policy: devices, addresses or networks at either end, lists of the page Exemptions, or expressions.');
		for (const name of [ 'interface', 'halt_on_match', 'priority' ])
			build.add(s, field[name], { tab: 'more' });
	},

	/* ---- what the daemon says of them ---- */

	tell(cell, name) {
		const action = this.running?.find(one => one.name === name);
		const state = this.running == null ? { text: _('the daemon does not answer'), note: '' }
			: action == null ? { text: _('not active yet'), note: '' } : health.action(action);
		const met = action?.traffic ? traffic.lines(action.traffic, traffic.of_targets(action.targets)) : [];
		const key = JSON.stringify([ action?.matches, met, state ]);
		if (cell.getAttribute('data-shown') === key)
			return;
		cell.setAttribute('data-shown', key);
		dom.content(cell, [
			E('strong', {}, [ action ? words.count(action.matches) : '-' ]),
			...[ state.text, ...(state.note ? [ state.note ] : []) ].flatMap(line => [ E('br'), E('small', {}, [ line ]) ]),
			...met.flatMap(line => [ E('br'), E('small', { 'style': 'white-space:nowrap' }, [ line ]) ])
		]);
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
			E('h3', {}, [ _('Policies that are not in this list') ]),
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
		build.label_new(s, _('Name of a new schedule'));
		column(s, '_hours', _('Hours'), section_id => hours.words(hours.read(uci.get(CONFIG, section_id))));
		column(s, '_used', _('Policies'), section_id => few(names.policies('time_of_day', section_id)) || _('none'));
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

	exemptions(map) {
		const [ field ] = fields.exemption();
		const s = map.section(form.GridSection, 'exemption', _('Exemptions'), _('The list "global" exempts flows from all policies. Other lists apply to the policies that name them.'));
		s.addremove = true;
		s.nodescriptions = true;
		s.addbtntitle = _('Add a list');
		s.modaltitle = section_id => section_id === stored.GLOBAL ? _('Exempt from all policies') : _('Exemptions %s').format(section_id);
		s.handleSort = () => {};
		build.label_new(s, _('Name of a new list'), node => {
			if (uci.get(CONFIG, stored.GLOBAL) == null)
				node.appendChild(E('button', {
					'type': 'button', 'class': 'btn cbi-button cbi-button-add', 'disabled': map.readonly ? '' : null,
					'click': ui.createHandlerFn(s, event => s.handleAdd(event, stored.GLOBAL))
				}, [ _('Exempt from all policies') ]));
		});
		column(s, '_for', _('For'), section_id => section_id === stored.GLOBAL ? _('all policies') : few(names.policies('exemption', section_id)) || _('no policy'));
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
