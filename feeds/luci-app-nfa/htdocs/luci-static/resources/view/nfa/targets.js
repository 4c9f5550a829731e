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
'require nfa.fields as fields';
'require nfa.grids as grids';
'require nfa.health as health';
'require nfa.names as names';
'require nfa.picker as picker';
'require nfa.rules as rules';
'require nfa.stored as stored';
'require nfa.traffic as traffic';
'require nfa.words as words';

/*
 * Targets: what becomes of flows that match; defaults by type; sinks and their channels. The options are those of
 * nfa.fields, of which only those that the chosen type has are shown. A new target is one of type firewall.
 */

const CONFIG = api.CONFIG;
const column = build.column;
const CHECKS = { firewall: rules.check_firewall, nftset: rules.check_nftset, ipset: rules.check_ipset, ctmark: rules.check_ctmark, ctlabel: rules.check_ctlabel };
const sections = type => uci.sections(CONFIG, type);
const plain = name => String(name ?? '').replaceAll('_', '-');
const kind_of = name => sections('sink').find(section => plain(section['.name']) === plain(name))?.type;
const channels_of = name => sections('channel').filter(section => plain(section.sink) === plain(name));

function grid(map, type, title, description, add, label) {
	const s = map.section(form.GridSection, type, title, description);
	s.addremove = add != null;
	s.nodescriptions = true;
	s.addbtntitle = add;
	s.handleSort = () => {};
	s.checkDepends = () => false;
	grids.label_new(s, label);
	return s;
}

/* A list of types whose choice decides which fields show. A type that has no form stays what it is. */
function select_type(section, field, choices, tab) {
	const option = build.add(section, field, { tab, type: build.Select });
	choices.forEach(([ value, label ]) => option.value(value, label));
	option.load = section_id => {
		const value = build.raw(section_id, field);
		if (value && !choices.some(([ name ]) => name === value) && !option.keylist.includes(value))
			option.value(value, E('span', {}, [ value ]));
		return value ?? null;
	};
	option.write = (section_id, value) => uci.set(CONFIG, section_id, field.name, value);
	option.optional = true;
	option.validate = (section_id, value) => value ? true : _('Choose a type.');
	return option;
}

/* Another type ends what the target does for the policies that use it: ask first. */
function ask_type(event, section_id, value) {
	const before = uci.get(CONFIG, section_id, 'target_type');
	const used = names.policies('target', section_id);
	if (!before || value === before || !used.length)
		return;
	const question = _('%s uses this target, %s is what it is now. With another type it no longer does what it does now: what is blocked, marked or prioritised by it ends. Change the type?');
	if (!confirm(question.format(used.join(', '), before)))
		this.getUIElement(section_id).setValue(before);
}

/*
 * The conditions of a field of a type: that type, and what its own form demands, whose options are called TYPE_NAME there.
 * `inherited`: names of options that the defaults of the type give; whatever these are, they meet a pattern.
 */
function conditions(field, of, inherited) {
	const met = (field.only ?? []).some(only => Object.entries(only).every(([ name, value ]) => value instanceof RegExp && inherited.includes(name)));
	return (met ? [ {} ] : field.only ?? [ {} ]).map(only => Object.assign({}, of.when,
		Object.fromEntries(Object.entries(only).map(([ name, value ]) => [ `${of.prefix}${name}`, value ]))));
}

/* What the daemon says of the targets, and of the policy that it has them from. */
function ask() {
	return Promise.all([ api.all_targets(), api.status() ]);
}

/* The state of a target that the daemon has, in a line. */
function state_of(target) {
	const { text, note } = health.target(target);
	return note || (target.errors && !target.over ? target.last_error : '') || text;
}

return view.extend(configured.view(_('Targets'), {
	load: ask,

	render([ targets, status ]) {
		picker.style();
		this.running = targets;
		this.policy = status?.policy;
		const map = this.map = new form.Map(CONFIG, _('Targets'));
		map.tabbed = true;
		this.targets(map);
		this.defaults(map);
		this.labels(map);
		this.sinks(map);
		this.channels(map);
		return map.render().then(node => {
			const wanted = (/^#edit=([A-Za-z0-9_]+)$/).exec(location.hash)?.[1];
			if (wanted && uci.get(CONFIG, wanted)?.['.type'] === 'target')
				window.setTimeout(() => this.grid.renderMoreOptionsModal(wanted), 0);
			poll.add(() => ask().then(([ found, now ]) => {
				this.running = found;
				this.policy = now?.policy;
				for (const cell of map.root.querySelectorAll('[data-nfa-target]'))
					this.tell(cell, cell.getAttribute('data-nfa-target'));
			}), 5);
			return node;
		});
	},

	tell(cell, name) {
		const target = this.running?.find(one => one.name === name);
		const state = this.running == null ? _('the daemon does not answer')
			: target != null ? state_of(target)
			: health.left_out(this.policy, name) ? _('not in use: it has an error') : _('not active yet');
		const met = target?.traffic ? traffic.lines(target.traffic, traffic.of_targets([ name ])).slice(1) : [];
		const key = JSON.stringify([ target?.elements, met, state ]);
		if (cell.getAttribute('data-shown') === key)
			return;
		cell.setAttribute('data-shown', key);
		dom.content(cell, [
			E('strong', {}, [ target ? words.count(target.elements) : '-' ]),
			...[ ...met, state ].flatMap(line => [ E('br'), E('small', {}, [ line ]) ])
		]);
	},

	/* ---- targets ---- */

	targets(map) {
		const common = Object.fromEntries(fields.common().map(field => [ field.name, field ]));
		const s = this.grid = grid(map, 'target', _('Targets'), _('A target is what happens to the flows that a policy matches: their packets are blocked, slowed down or get a class (type firewall), they are added to a set, their connection gets a mark, they are logged or sent to other programs. A set alone does nothing: rules of your own must use it.'),
			_('Add a target'), _('Name of a new target'));
		s.modaltitle = section_id => _('Target %s').format(section_id);
		build.inline(s, common.target_enabled);
		column(s, '_type', _('Type'), section_id => uci.get(CONFIG, section_id, 'target_type') ?? _('none'));
		column(s, '_what', _('Details'), section_id => {
			const target = uci.get(CONFIG, section_id);
			if (target.target_type === 'firewall')
				return traffic.effects(target).join(', ') || _('as the defaults say');
			return String(target.set_name ?? target.mark ?? target.sink ?? target.path ?? stored.entries(target, 'labels', 'label').join(', '));
		});
		column(s, '_used', _('Rules'), section_id => names.policies('target', section_id).join(', ') || _('none'));
		const elements = column(s, '_elements', _('Elements'), () => '');
		elements.textvalue = section_id => {
			const cell = E('span', { 'data-nfa-target': section_id });
			this.tell(cell, section_id);
			return cell;
		};
		s.addModalOptions = modal => {
			modal.tab('main', _('Target'));
			modal.tab('more', _('More'));
			const type = select_type(modal, common.target_type, fields.types(), 'main');
			type.onchange = ask_type;
			type.default = 'firewall';
			build.add(modal, common.target_enabled, { tab: 'main' });
			for (const [ type, list ] of Object.entries(fields.targets()))
				this.fields(modal, list, { type, prefix: `${type}_`, when: { target_type: type } });
			build.add(modal, common.interface, { tab: 'more' });
			build.add(modal, common.cut, { tab: 'more' });
		};
	},

	/* The fields of a type of targets, for a target or (without `when`) for the defaults of the type. */
	fields(modal, list, of) {
		const has_defaults = of.when && uci.get(CONFIG, of.type)?.['.type'] === 'target_default';
		const inherited = has_defaults ? list.filter(field => build.read(of.type, field) != null).map(field => field.name) : [];
		for (const field of list) {
			const held = has_defaults ? build.read(of.type, field) : null;
			const given = Object.assign({}, field, of.when ? {} : { required: false });
			// Of several effects that defaults give, the daemon takes those that go with the target's own: the form shows its own.
			if (held != null && !field.effect)
				given.preset = Array.isArray(held) ? held.join(' ') : held;
			given.required = given.required && held == null;
			const own = field.name === 'sink' || field.name === 'channel';
			const option = build.add(modal, given, {
				tab: field.more ? 'more' : 'main', as: `${of.prefix}${field.name}`,
				only: of.when ? conditions(field, of, inherited) : [], type: own ? build.Value : null
			});
			if (own) {
				const known = build.names(field.name);
				known.forEach(name => option.value(name));
				if (field.name === 'sink')
					// Those of netifyd's own files, which are not seen from here, are called sink-mqtt, say.
					option.validate = (section_id, value) => !value || known.some(name => plain(name) === plain(value)) || value.includes('-')
						|| value === build.read(section_id, field) ? true
						: _('There is no sink with this name. Create sinks on the tab Sinks; those from netifyd\'s own files have names such as sink-mqtt.');
			}
		}
		if (CHECKS[of.type] && of.when)
			build.verdict(modal, `_verdict_${of.type}`, [ of.when ],
				values => CHECKS[of.type](values, inherited.filter(name => list.some(field => field.effect && field.name === name))), 'main');
	},

	/* ---- what holds for all targets of a type ---- */

	defaults(map) {
		const types = fields.types().map(([ type ]) => type);
		const s = grid(map, 'target_default', _('Defaults'), _('What applies to all targets of a type that do not set it themselves.'), _('Add'), '');
		s.filter = section_id => types.includes(section_id);
		s.modaltitle = section_id => _('All targets of type %s').format(section_id);
		column(s, '_says', _('Options'), section_id => Object.entries(uci.get(CONFIG, section_id) ?? {}).filter(([ name ]) => !name.startsWith('.'))
			.map(([ name, value ]) => `${name} ${stored.list(value).join(', ')}`).join('; ') || _('none'));
		s.addModalOptions = (modal, section_id) => {
			modal.tab('main', _('Defaults'));
			modal.tab('more', _('More'));
			this.fields(modal, fields.targets()[section_id], { type: section_id, prefix: '', when: null });
			for (const field of fields.common().filter(one => one.kind !== 'own'))
				build.add(modal, field, { tab: 'more' });
		};
		// Sections are named after types: a button for each that has none.
		s.renderSectionAdd = function() {
			return E('div', { 'class': 'cbi-section-create' }, types.filter(type => uci.get(CONFIG, type) == null).map(type => E('button', {
				'type': 'button', 'class': 'btn cbi-button cbi-button-add', 'disabled': this.map.readonly ? '' : null, 'style': 'margin-right:.3em',
				'click': ui.createHandlerFn(this, event => this.handleAdd(event, type))
			}, [ _('Defaults of %s').format(type) ])));
		};
	},

	labels(map) {
		const s = map.section(form.NamedSection, 'ctlabel', 'target_global', _('Labels'), _('For targets of type ctlabel.'));
		const held = uci.get(CONFIG, 'ctlabel');
		// A section has one type: where the defaults of ctlabel have taken the name, the daemon cannot have both.
		if (held != null && held['.type'] !== 'target_global') {
			s.render = () => Promise.resolve(E('div', { 'class': 'cbi-section', 'data-tab': 'target_global', 'data-tab-title': _('Labels') },
				[ E('p', {}, [ _('The configuration has defaults for ctlabel; UCI cannot have a second section with this name. Use a JSON file.') ]) ]));
			s.load = s.parse = () => Promise.resolve();
			s.checkDepends = () => false;
			return;
		}
		s.addremove = true;
		s.addbtntitle = _('Change the settings');
		for (const field of fields.target_global().ctlabel)
			build.add(s, field);
	},

	/* ---- sinks and channels ---- */

	sinks(map) {
		const s = grid(map, 'sink', _('Sinks'), _('Where events leave the router, for targets of type sink. What a sink sets applies to all its channels.'),
			_('Add a sink'), _('Name of a new sink'));
		s.modaltitle = section_id => _('Sink %s').format(section_id);
		column(s, '_type', _('Type'), section_id => uci.get(CONFIG, section_id, 'type') ?? _('none'));
		column(s, '_where', _('Where'), section_id => this.place(uci.get(CONFIG, section_id)));
		column(s, '_channels', _('Channels'), section_id => channels_of(section_id).map(channel => channel['.name']).join(', ') || _('one, the sink itself'));
		s.addModalOptions = (modal, section_id) => {
			modal.tab('main', _('Sink'));
			modal.tab('more', _('More'));
			select_type(modal, fields.sink()[0], fields.kinds(), 'main');
			for (const [ kind, list ] of Object.entries(fields.channels()))
				this.channel_fields(modal, list, kind, [ { type: kind } ],
					channels_of(section_id).length ? () => '' : (field, value) => value ? '' : _('"%s" must be set, here or in a channel.').format(field.title));
		};
	},

	channels(map) {
		const s = grid(map, 'channel', _('Channels'), _('A sink needs a channel only if it has several outputs, or if another program has to find one by its name.'),
			_('Add a channel'), _('Name of a new channel'));
		s.modaltitle = section_id => _('Channel %s').format(section_id);
		column(s, '_sink', _('Sink'), section_id => uci.get(CONFIG, section_id, 'sink') ?? _('none'));
		column(s, '_where', _('Where'), section_id => this.place(uci.get(CONFIG, section_id)));
		s.addModalOptions = (modal, section_id) => {
			modal.tab('main', _('Channel'));
			modal.tab('more', _('More'));
			const held = uci.get(CONFIG, section_id, 'sink');
			const sinks = build.names('sink');
			const same = sinks.find(name => plain(name) === plain(held));
			// A name that is spelt with a dash is another spelling of the section's.
			select_type(modal, fields.channel()[0], sinks.map(name => [ name === same ? held : name, name ]), 'main');
			for (const [ kind, list ] of Object.entries(fields.channels())) {
				const some = sinks.filter(name => kind_of(name) === kind);
				if (some.length)
					this.channel_fields(modal, list, kind, some.map(name => ({ sink: name === same ? held : name })), (field, value, values) => {
						const sink = sinks.find(name => plain(name) === plain(values.sink));
						return value || (sink && build.read(sink, field)) ? '' : _('"%s" must be set, here or in its sink.').format(field.title);
					});
			}
		};
	},

	channel_fields(modal, list, kind, when, missing) {
		for (const field of list)
			build.add(modal, Object.assign({}, field, { required: false }), { tab: field.more ? 'more' : 'main', as: `${kind}_${field.name}`, only: when });
		build.verdict(modal, `_verdict_${kind}`, when, values => {
			const wrong = list.filter(field => field.required).map(field => missing(field, values[field.name], values)).find(text => text);
			if (kind === 'mqtt' && values.password && !values.username)
				return _('A password needs a user name.');
			return wrong ?? '';
		}, 'main');
	},

	place: section => String(section?.listen ?? section?.bind_address ?? section?.url ?? section?.broker ?? section?.host ?? section?.path ?? section?.event ?? '')
}));
