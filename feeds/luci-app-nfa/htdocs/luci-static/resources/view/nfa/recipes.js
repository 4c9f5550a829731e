'use strict';
'require view';
'require uci';
'require dom';
'require nfa.api as api';
'require nfa.checked as checked';
'require nfa.configured as configured';
'require nfa.cookbook as cookbook';
'require nfa.criteria as criteria';
'require nfa.health as health';
'require nfa.hours as hours';
'require nfa.picker as picker';
'require nfa.routes as routes';
'require nfa.stored as stored';
'require nfa.words as words';

/*
 * Recipes that fill in a policy: each asks what it needs, shows what it will write, and stages it for Save & Apply. One for
 * another WAN also writes what the network lacks for it, where this login may.
 */

const CONFIG = api.CONFIG;
/* Milliseconds from the last answer to the question what the network lacks. */
const DELAY = 400;
let count = 0;

/* Groups of the configuration, its devices that no host is, and hosts. */
function devices() {
	return checked.choices().devices.then(found => {
		const hosts = new Set(found.map(choice => choice.value));
		const named = [ 'group', 'device' ].flatMap(type => uci.sections(CONFIG, type).map(section => ({
			value: `@${section['.name']}`, label: section.title || section['.name'],
			parts: type === 'group' ? L.toArray(section.device ?? section.devices) : [ ...L.toArray(section.mac ?? section.macs), ...L.toArray(section.ip ?? section.ips) ]
		})));
		return [
			...named.filter(({ value, parts }) => usable('devices', value) && !parts.some(part => hosts.has(criteria.normal('devices', part))))
				.map(({ value, label, parts }) => ({ value, label, name: value.slice(1), note: parts.slice(0, 3).join(', ') })),
			...found
		];
	});
}

/* Whether an answer can be written down. */
function usable(kind, value) {
	return criteria.usable(kind, value) || (kind === 'devices' && value.startsWith('@') && criteria.usable('networks', value));
}

/* What the network lacks by an answer of the daemon, also as a text. What others do not need any more stays: not all files are known here. */
function lacking(answer) {
	const changes = answer.changes.filter(({ value }) => value != null);
	return { changes, text: changes.length ? routes.text(changes) : '' };
}

return view.extend(configured.view(_('Recipes'), {
	handleSave: null,
	handleSaveApply: null,
	handleReset: null,

	load() {
		return Promise.resolve();
	},

	render() {
		picker.style();
		this.place = E('div', { 'tabindex': -1, 'class': 'nfa-place' });
		this.readonly = !L.hasViewPermission();
		const wanted = cookbook.recipes().find(({ name }) => location.hash === `#recipe=${name}`);
		if (wanted)
			window.setTimeout(() => this.start(wanted), 0);
		return E('div', { 'class': 'cbi-map' }, [
			E('h2', {}, [ _('Recipes') ]),
			E('p', {}, [ _('A recipe creates a complete rule from a few answers. It shows what it will write first, and you can change everything later.') ]),
			E('div', { 'class': 'nfa-recipes' }, cookbook.recipes().map(recipe => E('div', { 'class': 'nfa-recipe', 'data-recipe': recipe.name }, [
				E('h4', {}, [ recipe.title ]),
				E('p', {}, [ recipe.intro ]),
				E('button', { 'type': 'button', 'class': 'btn cbi-button cbi-button-action', 'click': () => this.start(recipe) }, [ _('Use this recipe') ])
			]))),
			this.place
		]);
	},

	start(recipe) {
		this.recipe = recipe;
		this.answers = Object.fromEntries(recipe.questions.map(question => [ question.name,
			Array.isArray(question.preset) ? [ ...question.preset ] : question.preset ?? (question.kind === 'text' ? '' : []) ]));
		this.asked = false;
		this.problems = {};
		this.pickers = {};
		this.preview = E('div', {});
		dom.content(this.place, [
			E('h3', {}, [ recipe.title ]),
			E('div', { 'class': 'cbi-section' }, recipe.questions.map(question => this.question(question))),
			this.preview
		]);
		this.show();
		this.place.scrollIntoView({ block: 'start' });
		this.place.focus({ preventScroll: true });
	},

	question(question) {
		const id = `nfa-question-${++count}`;
		const answer = value => {
			this.answers[question.name] = value;
			this.show();
		};
		let field = null;
		if (question.kind === 'text' || question.kind === 'network') {
			field = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'id': id, 'value': question.preset ?? '', 'input': event => answer(event.currentTarget.value.trim()) });
			if (question.kind === 'network')
				field = E('span', {}, [ field, this.networks(field) ]);
		}
		else if (question.kind === 'days') {
			const boxes = hours.names().map((name, day) => E('label', {}, [ E('input', {
				'type': 'checkbox', 'checked': this.answers.days.includes(hours.KEYS[day]) ? '' : null,
				'change': event => answer(hours.KEYS.filter(key => key === hours.KEYS[day] ? event.currentTarget.checked : this.answers.days.includes(key)))
			}), name ]));
			field = E('div', { 'class': 'nfa-days', 'role': 'group', 'id': id, 'aria-label': question.title }, [ ...boxes ]);
		}
		else if (question.kind === 'flag') {
			field = E('input', {
				'type': 'checkbox', 'id': id, 'checked': question.preset === '1' ? '' : null, 'change': event => answer(event.currentTarget.checked ? '1' : '0')
			});
		}
		else {
			const widget = new picker.Picker(this.answers[question.name], {
				label: question.title, normal: text => criteria.normal(question.kind, text), whole: text => criteria.is_whole(question.kind, text),
				check: value => usable(question.kind, value) ? '' : _('another name or address'), changed: () => answer(widget.getValue())
			});
			field = widget.render();
			this.pickers[question.name] = widget;
			widget.input.id = id;
			(question.kind === 'devices' ? devices() : checked.choices()[question.kind]).then(found => widget.setChoices(found)).catch(() => {});
		}
		this.problems[question.name] = E('div', { 'role': 'alert' });
		return E('div', { 'class': 'cbi-value', 'data-question': question.name }, [
			E('label', { 'class': 'cbi-value-title', 'for': id }, [ question.title ]),
			E('div', { 'class': 'cbi-value-field' }, [ field, this.problems[question.name],
				...(question.help ? [ E('div', { 'class': 'cbi-value-description' }, [ question.help ]) ] : []) ])
		]);
	},

	/* The networks that there are, for a field to offer. */
	networks(field) {
		const list = E('datalist', { 'id': `${field.id}-list` });
		field.setAttribute('list', list.id);
		api.routes().then(({ networks }) => list.replaceChildren(...networks.filter(({ name }) => name !== 'loopback').map(({ name, device }) =>
			E('option', { 'value': name }, [ device ])))).catch(() => {});
		return list;
	},

	wrong() {
		const found = cookbook.problems(this.recipe, this.answers);
		for (const { name, kind } of this.recipe.questions)
			if (criteria.KINDS.includes(kind) && this.answers[name].some(value => !usable(kind, value)))
				found[name] = _('One of these cannot be used.');
			else if (this.pickers[name]?.rest)
				found[name] = _('What you typed here is not added yet.');
		return found;
	},

	show() {
		const wrong = this.wrong();
		for (const [ name, node ] of Object.entries(this.problems))
			dom.content(node, [ ...(this.asked && wrong[name] ? [ wrong[name] ] : []) ]);
		const add = words.button(_('Create this rule'), 'positive', () => this.write());
		add.disabled = this.readonly;
		this.lacking = null;
		if (Object.keys(wrong).length) {
			dom.content(this.preview, [ E('p', {}, [ _('Answer all questions to see here what will be written.') ]), add ]);
			return;
		}
		const made = this.cook();
		const network = E('div', { 'data-routes': '' });
		dom.content(this.preview, [
			E('h4', {}, [ _('This will be written') ]), E('pre', { 'class': 'nfa-copy' }, [ cookbook.text(made) ]), network, add
		]);
		if (this.recipe.routed)
			this.show_routes(made, network);
	},

	/* Show what the network lacks as soon as the daemon has told it; `lacking` is the promise of that: { changes, text, may, wrong }. */
	show_routes(made, place) {
		window.clearTimeout(this.timer);
		const asked = new Promise(resolve => { this.timer = window.setTimeout(resolve, DELAY); })
			.then(() => Promise.all([ api.routes(cookbook.targets(uci.sections(CONFIG), made)), routes.allowed() ]))
			.then(([ answer, may ]) => ({
				may, ...lacking(answer),
				wrong: answer.reports.filter(({ severity }) => severity === 'error').map(found => health.report(found, () => null).text)
			})).catch(error => ({ changes: [], text: '', may: false, wrong: [ error.message ] }));
		this.lacking = asked;
		dom.content(place, [ E('p', {}, [ E('em', {}, [ _('Asking the daemon what the network lacks.') ]) ]) ]);
		asked.then(({ changes, text, may, wrong }) => {
			if (this.lacking !== asked)
				return;
			dom.content(place, [
				...wrong.map(text => E('p', { 'class': 'alert-message warning' }, [ text ])),
				...(changes.length ? [ E('pre', { 'class': 'nfa-copy' }, [ text ]) ] : []),
				...(changes.length && !may ? [ E('p', { 'class': 'alert-message warning' }, [ routes.forbidden() ]) ] : [])
			]);
		});
	},

	taken() {
		return uci.sections(CONFIG).map(section => section['.name']);
	},

	cook() {
		const known = uci.sections(CONFIG, 'device').map(section => ({
			name: section['.name'], addresses: [ ...L.toArray(section.mac), ...L.toArray(section.ip) ]
		}));
		return cookbook.cook(this.recipe, this.answers, this.taken(), stored.exemptions(uci.get(CONFIG, stored.GLOBAL)), known);
	},

	write() {
		const [ first ] = Object.keys(this.wrong());
		this.asked = true;
		if (first) {
			this.show();
			const node = this.place.querySelector(`[data-question="${first}"]`);
			node.scrollIntoView({ block: 'center' });
			node.querySelector('input')?.focus();
			return Promise.resolve();
		}
		const made = this.cook();
		for (const entry of made.exempt)
			stored.exempt(stored.GLOBAL, entry);
		for (const { type, name, options } of made.sections) {
			uci.add(CONFIG, type, name);
			for (const [ option, value ] of Object.entries(options))
				uci.set(CONFIG, name, option, value);
		}
		return uci.save().then(() => this.lacking).then(found => found?.may && found.changes.length
			? routes.stage(found.changes).then(() => found) : found).then(found => this.done(made, found));
	},

	/* `found`: what the network lacks, of a recipe for another WAN. */
	done(made, found) {
		const link = (page, text) => E('a', { 'class': 'btn cbi-button cbi-button-action', 'href': `${L.url('admin/services/nfa')}/${page}` }, [ text ]);
		const steps = [
			[ _('Look at it, and press Save & Apply to activate it.'), ' ', link(`policies#edit=${made.name}`, _('Open the rule')) ],
			...(health.allowed(uci.get(CONFIG, 'main', 'enabled')) ? []
				: [ [ _('Flow Actions is switched off: switch it on on the page Home. Until then, no rule does anything.'), ' ', link('home', _('Go to Home')) ] ]),
			...(found && !found.may ? [ [ _('Then look at the page Home: if the network lacks something for this rule, it says so.'), ' ', link('home', _('Go to Home')) ] ] : [])
		];
		dom.content(this.place, [
			E('h3', {}, [ this.recipe.title ]),
			E('p', {}, [ E('strong', {}, [ _('The rule "%s" was created and is waiting to be applied.').format(made.name), ' ',
				N_(steps.length, '%d step is left:', '%d steps are left:').format(steps.length) ]) ]),
			E('ol', {}, steps.map(step => E('li', {}, [ ...step ]))),
			E('p', {}, [ made.after ])
		]);
		this.place.scrollIntoView({ block: 'start' });
		this.place.focus({ preventScroll: true });
	}
}));
