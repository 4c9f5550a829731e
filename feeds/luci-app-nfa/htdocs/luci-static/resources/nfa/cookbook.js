'use strict';
'require baseclass';
'require nfa.criteria as criteria';
'require nfa.hours as hours';
'require nfa.rules as rules';

/*
 * Recipes: from a few answers to the sections of a policy. Packets are decided by targets of type firewall; only another WAN
 * still needs commands of its own. Pure: what is there already is passed in, nothing is written here.
 *
 * A recipe asks questions: { name, kind, title, help, preset, check(value, answers) }. Kinds: apps, protocols, categories,
 * devices (lists of values; devices: also @NAME of a device or group), days (list), flag ('0' or '1'), text. Its make(answers,
 * name, number, devices) gives { sections: [ { type, name, options } ], script, after }; number: 1 for its first policy, 2 for
 * the next; script: '' or the commands that it needs. most: how many policies of a recipe there can be.
 *
 * Recipes work together, also with those of docs/recipes.md: names are their own, and so are their bits of marks.
 */

const DNS = "protocol == 'dns';";
const CONFIG = 'netify-proc-flow-actions';

const needed = value => value?.length ? '' : _('Choose at least one.');
const time = latest => value => hours.seconds(value, latest) == null ? _('Expected a time such as 21:00.') : '';
/* Bits of marks: which WAN a connection uses. */
const WAN = { mask: '0xc000', others: '0xffff3fff', step: 0x4000, most: 3 };
const TABLE = 101;

const wrong = text => text ? _('Expected: %s').format(text) : '';
/* It goes into a script that a person runs as root. */
const device = value => wrong((/^[A-Za-z0-9._-]{1,15}$/).test(value) ? '' : _('the name of a device: letters, digits, dots and hyphens'));
const network = value => wrong((/^[A-Za-z0-9_]{1,32}$/).test(value) ? '' : _('the name of an interface: letters, digits and _'));

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

/* Commands that put rules into a file of their own and let the firewall load all such files whenever it starts. */
function script(name, text) {
	const folder = '/etc/nftables.d';
	return [
		`cat > ${folder}/nfa_${name}.rules <<'END'`, ...text, 'END',
		`cat > ${folder}/nfa.sh <<'END'`, `for file in ${folder}/nfa*.rules; do nft -f "$file"; done`, 'END',
		'uci set firewall.nfa=include', `uci set firewall.nfa.path=${folder}/nfa.sh`,
		'uci commit firewall', 'service firewall reload', ''
	].join('\n');
}

/* Sets as the daemon makes them, for both families: it does not matter who comes first. types: by family. */
function sets(name, types, timeout) {
	return [ 'v4', 'v6' ].map((family, index) => `  set ${name}.${family} { type ${types[index]}; size 65536; timeout ${timeout}; }`);
}

/* A file of rules that may be loaded again and again. chains: name to { hook, lines }. */
function rules_file(declared, chains) {
	const all = Object.entries(chains);
	return [
		'table inet nfa {', ...declared, ...all.map(([ name, { hook } ]) => `  chain ${name} { type filter hook ${hook}; policy accept; }`), '}',
		...all.map(([ name ]) => `flush chain inet nfa ${name}`),
		'table inet nfa {', ...all.flatMap(([ name, { lines } ]) => [ `  chain ${name} {`, ...lines.map(line => `    ${line}`), '  }' ]), '}'
	];
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
const STOPPED = () => _('The page Overview then shows how many connections are held, and how many packets were stopped.');
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
		make: (answers, name, number, devices) => ({
			sections: [
				...devices.sections, schedule(answers, name),
				...decided(name, 'stop', { verdict: 'reject' }, { criteria: chosen(answers, devices), more: { time_of_day: [ `${name}_hours` ] } })
			],
			script: '', after: STOPPED()
		})
	}, {
		name: 'offline',
		title: _('No internet for a device at night'),
		intro: _('Everything that the device does with the internet stops at the time you choose. What is in your own network, such as a printer, goes on working.'),
		questions: [ DEVICES(_('Which devices'), BY_NAME(), needed), ...HOURS() ],
		make: (answers, name, number, devices) => ({
			sections: [
				...devices.sections, schedule(answers, name),
				...decided(name, 'stop', { verdict: 'reject', scope: 'device' }, { criteria: chosen(answers, devices), more: { time_of_day: [ `${name}_hours` ] } })
			],
			script: '', after: STOPPED()
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
		make: (answers, name, number, devices) => ({
			sections: [
				...devices.sections,
				...decided(name, 'limit', Object.assign({ limit: answers.rate }, answers.each === '1' ? { per_device: '1' } : {}), { criteria: chosen(answers, devices) })
			],
			script: '', after: _('The page Overview then shows how many connections are held, and how many packets met the limit.')
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
		make: (answers, name, number, devices) => ({
			sections: decided(name, 'first', { set_dscp: 'EF' }, { criteria: chosen(answers, devices) }), script: '', after: QUEUE()
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
		make: (answers, name, number, devices) => ({
			sections: decided(name, 'last', { set_dscp: 'CS1' }, { criteria: chosen(answers, devices) }), script: '', after: QUEUE()
		})
	}, {
		name: 'wan2',
		title: _('Send a service through a second WAN'),
		intro: _('New connections to a service use the second WAN, as soon as the daemon knows its addresses. Other services on the same addresses use it too.'),
		questions: [
			Object.assign(APPS(_('Which applications')), { check: needed }),
			{ name: 'lan', kind: 'text', title: _('Device of your network'), help: '', preset: 'br-lan', check: device },
			{ name: 'device', kind: 'text', title: _('Device of the second WAN'), help: '', preset: 'wan2', check: device },
			{ name: 'interface', kind: 'text', title: _('Interface of the second WAN'), help: _('As the page Network > Interfaces names it.'), preset: 'wan2', check: network },
			{ name: 'interface6', kind: 'text', title: _('Its interface for IPv6'), help: _('Empty: there is none.'), preset: '', check: value => value ? network(value) : '' }
		],
		most: WAN.most,
		make: (answers, name, number, devices) => {
			const mark = `0x${(number * WAN.step).toString(16)}`;
			const routed = `meta mark set meta mark and ${WAN.others} or ${mark}`;
			const lan = `iifname "${answers.lan}"`;
			/* The routes of an interface are in one table: that of an earlier policy, or of the owner, if there is one. */
			const commands = (section, kind, option, interface_name) => [
				`uci -q get network.${interface_name}.${option} || uci set network.${interface_name}.${option}=${TABLE + number}`,
				`uci set network.${section}=${kind}`, `uci set network.${section}.mark=${mark}/${WAN.mask}`,
				`uci set network.${section}.lookup="$(uci get network.${interface_name}.${option})"`
			];
			return {
				sections: [
					{ type: 'target', name: `${name}_set`, options: { target_type: 'nftset', set_name: name, type: [ 'other_addr' ], ttl: '86400', managed: '1' } },
					{ type: 'action', name, options: { criteria: [ chosen(answers, devices) ], target: [ `${name}_set` ] } }
				],
				script: script(name, rules_file(sets(name, [ 'ipv4_addr', 'ipv6_addr' ], '1d'), {
					[`${name}_choose`]: { hook: 'prerouting priority mangle', lines: [
						`${lan} ct state new ip daddr @${name}.v4 ${routed} counter`,
						`${lan} ct state new ip6 daddr @${name}.v6 ${routed} counter`,
						`${lan} ct mark and ${WAN.mask} == ${mark} ${routed}`
					] },
					[`${name}_keep`]: { hook: 'postrouting priority mangle', lines: [
						`oifname "${answers.device}" meta mark and ${WAN.mask} == ${mark} ct state new ct mark set ct mark and ${WAN.others} or ${mark} counter`
					] }
				})) + [
					...commands(`nfa_${name}`, 'rule', 'ip4table', answers.interface),
					...(answers.interface6 ? [
						...commands(`nfa_${name}_6`, 'rule6', 'ip6table', answers.interface6), `uci set network.${answers.interface6}.sourcefilter=0`
					] : []),
					'uci commit network', 'service network reload', ''
				].join('\n'),
				after: _('Log in to the router by SSH and paste these lines once. They write the rules, and give the second WAN a routing table of its own. Its firewall zone must be its own too, with masquerading, for IPv6 as well (masq6).')
			};
		}
	}, {
		name: 'weak_tls',
		title: _('Log weak TLS'),
		intro: _('Old and unsafe encryption (SSL 3, TLS 1.0 and 1.1) is logged: which device, and where to. Nothing is blocked.'),
		questions: [
			{ name: 'path', kind: 'text', title: _('Folder'), help: _('/tmp is in memory: files there are lost when the router restarts.'), preset: '/tmp/nfa-logs', check: value => wrong(rules.path(value)) },
			DEVICES(_('Devices that may use it'), _('An old printer, for example. Empty: none.'))
		],
		make: (answers, name, number, devices) => ({
			sections: [
				...devices.sections,
				{ type: 'target', name: `${name}_log`, options: { target_type: 'log', prefix: 'weak-tls', path: answers.path, interval: '300' } },
				{
					type: 'action', name, options: Object.assign(
						{ criteria: [ 'ssl_version && ssl_version < 0x0303;' ], target: [ `${name}_log` ] },
						devices.names.length ? { exemption: devices.names } : {})
				}
			],
			script: '',
			after: _('Files appear in the folder when something is found; each covers five minutes.')
		})
	} ];
}

function quoted(value) {
	return value.includes("'") ? `"${value.replace(/["\\]/g, '\\$&')}"` : `'${value}'`;
}

/* The first name of a recipe that is free, and its number. */
function free(recipe, answers, taken) {
	const parts = [ '_hours', '_stop', '_limit', '_first', '_last', '_set', '_log', ...(answers.devices ?? []).map((address, index) => `_device_${index + 1}`) ];
	for (let number = 1; ; number++) {
		const name = number === 1 ? recipe.name : `${recipe.name}_${number}`;
		if (![ name, ...parts.map(part => name + part) ].some(one => taken.includes(one)))
			return { name, number };
	}
}

return baseclass.extend({
	recipes: recipes,

	/* Question to what is wrong with its answer, of those with which something is. taken: the names of all sections. */
	problems: (recipe, answers, taken) => {
		const found = Object.fromEntries(recipe.questions.map(question =>
			[ question.name, question.check?.(answers[question.name], answers) ?? '' ]).filter(([ , text ]) => text));
		if (recipe.most != null && free(recipe, answers, taken ?? []).number > recipe.most)
			found[recipe.questions[0].name] = _('There are %d such policies already. Add the applications to one of them.').format(recipe.most);
		return found;
	},

	/*
	 * What a recipe writes: { name, sections, exempt (from all policies), script, after }. taken: the names of all sections;
	 * exempt: the entries of the global exemptions; known: the devices that there are, each with its name and addresses.
	 * Answers to questions for names come from DNS, which is exempt: else the policy would act on the resolver.
	 */
	cook: (recipe, answers, taken, exempt, known) => {
		const { name, number } = free(recipe, answers, taken);
		const made = Object.assign({ name }, recipe.make(answers, name, number, as_devices(answers.devices, name, known ?? [])));
		const has_dns = exempt.some(entry => (/^\s*proto(col)?\s*==\s*'dns'\s*;?\s*$/).test(entry));
		made.exempt = has_dns ? [] : [ DNS ];
		return made;
	},

	/* The sections as lines of a file of UCI, for people to look at. */
	text: made => [
		`# /etc/config/${CONFIG}`,
		...made.exempt.flatMap(entry => [ "config exemption 'global'", `\tlist exemption ${quoted(entry)}`, '' ]),
		...made.sections.flatMap(({ type, name, options }) => [
			`config ${type} '${name}'`,
			...Object.entries(options).flatMap(([ option, value ]) => Array.isArray(value)
				? value.map(entry => `\tlist ${option} ${quoted(entry)}`) : [ `\toption ${option} ${quoted(value)}` ]), ''
		])
	].join('\n').trimEnd()
});
