'use strict';
'require baseclass';
'require nfa.criteria as criteria';
'require nfa.hours as hours';
'require nfa.rules as rules';

/*
 * Recipes: from a few answers to the sections of a policy. Packets are decided by targets of type firewall. Pure: what is there
 * already is passed in, nothing is written here.
 *
 * A recipe asks questions: { name, kind, title, help, preset, check(value, answers) }. Kinds: apps, protocols, categories,
 * devices (lists of values; devices: also @NAME of a device or group), days (list), flag ('0' or '1'), text, network (of
 * /etc/config/network). Its make(answers, name, devices) gives { sections: [ { type, name, options } ], after }. routed: it
 * chooses another WAN, whose routes the network has to have.
 *
 * Recipes work together, also with those of docs/recipes.md: names are their own, and so are their bits of marks.
 */

const DNS = "protocol == 'dns';";
const CONFIG = 'netify-proc-flow-actions';

const needed = value => value?.length ? '' : _('Choose at least one.');
const time = latest => value => hours.seconds(value, latest) == null ? _('Expected a time such as 21:00.') : '';

const wrong = text => text ? _('Expected: %s').format(text) : '';

/*
 * The sections of UCI for devices that have none yet, and how all of them are named in an expression. Each address is a device;
 * @NAME is one of the configuration, or a group.
 */
function as_devices(addresses, name, known) {
	const sections = [];
	const names = (addresses ?? []).map((address, index) => {
		if (address.startsWith('@'))
			return address;
		const found = known.find(device => device.addresses.some(one => criteria.normal('devices', one) === criteria.normal('devices', address)));
		if (found == null)
			sections.push({ type: 'device', name: `${name}_device_${index + 1}`, options: { [criteria.is_address(address) ? 'ip' : 'mac']: [ address ] } });
		return `@${found?.name ?? `${name}_device_${index + 1}`}`;
	});
	return { sections, names: [ ...new Set(names) ] };
}

/* The criteria of what was chosen; devices by their names. */
function chosen(answers, devices) {
	const given = { ...answers, devices: [], networks: devices.names };
	return criteria.build(Object.assign(criteria.empty(), Object.fromEntries(criteria.KINDS.filter(kind => given[kind]).map(kind => [ kind, given[kind] ]))));
}

const APPS = title => ({ name: 'apps', kind: 'apps', title, help: _('Search by name.') });
const DEVICES = (title, help, check) => ({ name: 'devices', kind: 'devices', title, help, check });
const BY_NAME = () => _('By name. If a device uses a random MAC address, turn that off for your network.');
/* From when to when, which evenings: of a policy with hours. */
const HOURS = () => [
	{ name: 'days', kind: 'days', title: _('On which evenings'), help: '', preset: hours.KEYS, check: needed },
	{ name: 'from', kind: 'text', title: _('From'), help: '', preset: '21:00', check: time(hours.DAY - 1) },
	{ name: 'until', kind: 'text', title: _('Until'), help: _('If not later than the start: the next morning.'), preset: '06:30', check: (value, answers) =>
		time(hours.DAY)(value) || (hours.seconds(value, hours.DAY) === hours.seconds(answers.from, hours.DAY - 1)
			? _('The end must differ from the start. For the whole day: from 0:00 to 24:00.') : '') }
];
const STOPPED = () => _('The page Status then shows how many connections are held, and how many packets were stopped.');
const QUEUE = () => _('Packets get the class in both directions. For uploads, SQM with cake and diffserv4 needs nothing else. For downloads, its script has to take the class from the connection, as layer_cake_ct.qos does: the page Shaping of the documentation tells how.');

/* One of several questions has to be answered. */
function any_of(...kinds) {
	return (value, answers) => kinds.some(kind => answers[kind]?.length) ? '' : _('Choose something here, or in one of the next lists.');
}

/* The section of hours, and what an action says of it. */
function schedule(answers, name) {
	return { type: 'time_of_day', name: `${name}_hours`, options: Object.assign(
		answers.days.length < 7 ? { day: answers.days } : {}, { time_start: answers.from, time_end: answers.until }) };
}

/* A policy that does something to packets: the target with its options, and the action that leads to it. */
function decided(name, part, options, action) {
	return [
		{ type: 'target', name: `${name}_${part}`, options: { target_type: 'firewall', ...options } },
		{ type: 'action', name, options: { criteria: [ action.criteria ], target: [ `${name}_${part}` ], ...action.more } }
	];
}

function recipes() {
	return [ {
		name: 'bedtime',
		title: _('Block an application for a device at night'),
		intro: _('For children\'s tablets and the like: at the time you choose, whatever is playing stops; in the morning, what you open then works again.'),
		questions: [
			Object.assign(APPS(_('Which applications')), { check: needed }),
			DEVICES(_('On which devices'), BY_NAME(), needed), ...HOURS()
		],
		make: (answers, name, devices) => ({
			sections: [
				...devices.sections, schedule(answers, name),
				...decided(name, 'stop', { verdict: 'reject' }, { criteria: chosen(answers, devices), more: { time_of_day: [ `${name}_hours` ] } })
			],
			after: STOPPED()
		})
	}, {
		name: 'offline',
		title: _('No internet for a device at night'),
		intro: _('Everything that the device does with the internet stops at the time you choose. What is in your own network, such as a printer, goes on working.'),
		questions: [ DEVICES(_('Which devices'), BY_NAME(), needed), ...HOURS() ],
		make: (answers, name, devices) => ({
			sections: [
				...devices.sections, schedule(answers, name),
				...decided(name, 'stop', { verdict: 'reject', scope: 'device' }, { criteria: chosen(answers, devices), more: { time_of_day: [ `${name}_hours` ] } })
			],
			after: STOPPED()
		})
	}, {
		name: 'daily',
		title: _('So long a day'),
		intro: _('Games, films or a whole device for an hour a day, or as long as you say; then they stop until the next day. On the page Home you can give more time.'),
		questions: [
			DEVICES(_('On which devices'), BY_NAME(), needed),
			APPS(_('Which applications')),
			{ name: 'categories', kind: 'categories', title: _('And which categories'), help: _('Neither: everything that the device does with the internet.') },
			{ name: 'time', kind: 'text', title: _('How long a day'), help: _('Such as 30m, 1h or 1h30m. Each device has that much for itself.'), preset: '1h', check: value =>
				(/^(?=.)(\d{1,2}h)?(\d{1,3}m)?$/).test(value) && (/[1-9]/).test(value) ? '' : _('Expected a time such as 1h or 30m.') },
			{ name: 'weekend', kind: 'text', title: _('On Saturdays and Sundays'), help: _('Empty: the same.'), preset: '', check: value =>
				!value || ((/^(?=.)(\d{1,2}h)?(\d{1,3}m)?$/).test(value)) ? '' : _('Expected a time such as 1h or 30m.') }
		],
		make: (answers, name, devices) => ({
			sections: [
				...devices.sections,
				{ type: 'budget', name: `${name}_budget`, options: Object.assign({ time: answers.time }, answers.weekend ? { day: [ `sat,sun ${answers.weekend}` ] } : {}) },
				...decided(name, 'stop', Object.assign({ verdict: 'reject' }, answers.apps?.length || answers.categories?.length ? {} : { scope: 'device' }),
					{ criteria: chosen(answers, devices), more: { budget: `${name}_budget` } })
			],
			after: _('The page Home then shows what each device has left.')
		})
	}, {
		name: 'slow',
		title: _('Slow something down'),
		intro: _('Updates, films or a whole device may use only as much of the line as you say: in each direction, at any time.'),
		questions: [
			Object.assign(APPS(_('Which applications')), { check: any_of('apps', 'categories', 'devices') }),
			{ name: 'categories', kind: 'categories', title: _('And which categories'), help: '' },
			DEVICES(_('On which devices'), _('Empty: on all of them.')),
			{ name: 'rate', kind: 'text', title: _('How much may pass'), help: _('In a second, such as 2mbit, 500kbit or 250kbyte.'), preset: '2mbit', check: value => wrong(rules.rate(value)) },
			{ name: 'each', kind: 'flag', title: _('That much for each device'), help: _('If off, all of them share it.'), preset: '1' }
		],
		make: (answers, name, devices) => ({
			sections: [
				...devices.sections,
				...decided(name, 'limit', Object.assign({ limit: answers.rate }, answers.each === '1' ? { per_device: '1' } : {}), { criteria: chosen(answers, devices) })
			],
			after: _('The page Status then shows how many connections are held, and how many packets met the limit.')
		})
	}, {
		name: 'calls',
		title: _('Calls first'),
		intro: _('Packets of voice and video calls get a high-priority class (DSCP EF), which SQM and other queues honour (such as cake with diffserv4).'),
		questions: [
			Object.assign({ name: 'categories', kind: 'categories', title: _('Which categories'), help: '', preset: [ 'voip' ] }, { check: any_of('categories', 'apps', 'protocols') }),
			APPS(_('And which applications')),
			{ name: 'protocols', kind: 'protocols', title: _('And which protocols'), help: '' }
		],
		make: (answers, name, devices) => ({
			sections: decided(name, 'first', { set_dscp: 'EF' }, { criteria: chosen(answers, devices) }), after: QUEUE()
		})
	}, {
		name: 'downloads',
		title: _('Downloads last'),
		intro: _('Packets of BitTorrent, backups or updates get the lowest class (DSCP CS1): they use what the others leave, where a queue such as SQM\'s cake honours it.'),
		questions: [
			Object.assign({ name: 'protocols', kind: 'protocols', title: _('Which protocols'), help: '', preset: [ 'bittorrent' ] }, { check: any_of('protocols', 'apps', 'categories') }),
			APPS(_('And which applications')),
			{ name: 'categories', kind: 'categories', title: _('And which categories'), help: '' }
		],
		make: (answers, name, devices) => ({
			sections: decided(name, 'last', { set_dscp: 'CS1' }, { criteria: chosen(answers, devices) }), after: QUEUE()
		})
	}, {
		name: 'wan2',
		title: _('Send a service through a second WAN'),
		intro: _('New connections to a service use the second WAN, as soon as the daemon knows its addresses. Other services on the same addresses use it too.'),
		questions: [
			Object.assign(APPS(_('Which applications')), { check: needed }),
			{
				name: 'network', kind: 'network', title: _('Second WAN'), help: _('Its interface, as the page Network > Interfaces names it.'), preset: 'wan2',
				check: value => wrong(rules.network(value))
			},
			{ name: 'fallback', kind: 'flag', title: _('The usual way while that WAN is down'), help: _('If off, these connections get none then.'), preset: '1' }
		],
		routed: true,
		make: (answers, name, devices) => ({
			sections: decided(name, 'line', Object.assign({ route: answers.network }, answers.fallback === '1' ? {} : { fallback: '0' }),
				{ criteria: chosen(answers, devices) }),
			after: _('The second WAN needs a firewall zone with masquerading, for IPv6 as well (masq6): see the pages Network > Interfaces and Network > Firewall.')
		})
	}, {
		name: 'weak_tls',
		title: _('Log weak TLS'),
		intro: _('Old and unsafe encryption (SSL 3, TLS 1.0 and 1.1) is logged: which device, and where to. Nothing is blocked.'),
		questions: [
			{ name: 'path', kind: 'text', title: _('Folder'), help: _('/tmp is in memory: files there are lost when the router restarts.'), preset: '/tmp/nfa-logs', check: value => wrong(rules.path(value)) },
			DEVICES(_('Devices that may use it'), _('An old printer, for example. Empty: none.'))
		],
		make: (answers, name, devices) => ({
			sections: [
				...devices.sections,
				{ type: 'target', name: `${name}_log`, options: { target_type: 'log', prefix: 'weak-tls', path: answers.path, interval: '300' } },
				{
					type: 'action', name, options: Object.assign(
						{ criteria: [ 'ssl_version && ssl_version < 0x0303;' ], target: [ `${name}_log` ] },
						devices.names.length ? { exemption: devices.names } : {})
				}
			],
			after: _('Files appear in the folder when something is found; each covers five minutes.')
		})
	} ];
}

function quoted(value) {
	return value.includes("'") ? `"${value.replace(/["\\]/g, '\\$&')}"` : `'${value}'`;
}

/* The first name of a recipe that is free. */
function free(recipe, answers, taken) {
	const parts = [ '_hours', '_stop', '_limit', '_first', '_last', '_line', '_log', '_budget', ...(answers.devices ?? []).map((address, index) => `_device_${index + 1}`) ];
	for (let number = 1; ; number++) {
		const name = number === 1 ? recipe.name : `${recipe.name}_${number}`;
		if (![ name, ...parts.map(part => name + part) ].some(one => taken.includes(one)))
			return name;
	}
}

/* Sections as a file of UCI has them. */
function lines({ type, name, options }) {
	return [
		`config ${type} '${name}'`,
		...Object.entries(options).flatMap(([ option, value ]) => Array.isArray(value)
			? value.map(entry => `\tlist ${option} ${quoted(entry)}`) : [ `\toption ${option} ${quoted(value)}` ]), ''
	];
}

return baseclass.extend({
	recipes: recipes,

	/* Question to what is wrong with its answer, of those with which something is. */
	problems: (recipe, answers) => Object.fromEntries(recipe.questions.map(question =>
		[ question.name, question.check?.(answers[question.name], answers) ?? '' ]).filter(([ , text ]) => text)),

	/*
	 * What a recipe writes: { name, sections, exempt (from all policies), after }. taken: the names of all sections; exempt: the
	 * entries of the global exemptions; known: the devices that there are, each with its name and addresses.
	 * Answers to questions for names come from DNS, which is exempt: else the policy would act on the resolver.
	 */
	cook: (recipe, answers, taken, exempt, known) => {
		const name = free(recipe, answers, taken);
		const made = Object.assign({ name }, recipe.make(answers, name, as_devices(answers.devices, name, known ?? [])));
		const has_dns = exempt.some(entry => (/^\s*proto(col)?\s*==\s*'dns'\s*;?\s*$/).test(entry));
		made.exempt = has_dns ? [] : [ DNS ];
		return made;
	},

	/* The sections as lines of a file of UCI, for people to look at. */
	text: made => [
		`# /etc/config/${CONFIG}`,
		...made.exempt.flatMap(entry => [ "config exemption 'global'", `\tlist exemption ${quoted(entry)}`, '' ]),
		...made.sections.flatMap(lines)
	].join('\n').trimEnd(),

	/* What decides about routes, as a text of UCI: the targets that there are, as LuCI has sections, and those that a recipe writes. */
	targets: (there, made) => [
		...there.map(section => ({
			type: section['.type'], name: section['.name'], options: Object.fromEntries(Object.entries(section).filter(([ option ]) => !option.startsWith('.')))
		})), ...made.sections
	].filter(({ type }) => type === 'target' || type === 'target_default').flatMap(lines).join('\n')
});
