'use strict';
'require baseclass';
'require nfa.criteria as criteria';
'require nfa.hours as hours';
'require nfa.rules as rules';

/*
 * Recipes: from a few answers to the sections of a policy, and to the rules that the firewall needs for it. Pure: what is
 * there already is passed in, nothing is written here.
 *
 * A recipe asks questions: { name, kind, title, help, preset, check(value, answers) }. Kinds: apps, protocols, categories,
 * devices (lists of values), days (list), text. Its make(answers, name, number) gives { sections: [ { type, name, options } ],
 * script, after }; number: 1 for its first policy, 2 for the next. most: how many policies of a recipe there can be.
 *
 * Recipes work together, also with those of docs/recipes.md: names are their own, and so are their bits of marks.
 */

const DNS = "protocol == 'dns';";
const CONFIG = 'netify-proc-flow-actions';

const needed = value => value?.length ? '' : _('Choose at least one.');
const time = latest => value => hours.seconds(value, latest) == null ? _('Expected a time such as 21:00.') : '';
/* Bits of marks: what class a connection has (a DSCP, and bit 24 as a sign that there is one), and which WAN it uses. */
const CLASS = '0xff000000';
const FIRST = '0xb9000000';
const WAN = { mask: '0xc000', others: '0xffff3fff', step: 0x4000, most: 3 };
const TABLE = 101;

const wrong = text => text ? _('Expected: %s').format(text) : '';
/* It goes into a script that a person runs as root. */
const device = value => wrong((/^[A-Za-z0-9._-]{1,15}$/).test(value) ? '' : _('the name of a device: letters, digits, dots and hyphens'));
const network = value => wrong((/^[A-Za-z0-9_]{1,32}$/).test(value) ? '' : _('the name of an interface: letters, digits and _'));

/* The sections of UCI for devices that have none yet, and how all of them are named in an expression. Each address is a device. */
function as_devices(addresses, name, known) {
	const sections = [];
	const names = (addresses ?? []).map((address, index) => {
		const found = known.find(device => device.addresses.some(one => criteria.normal('devices', one) === criteria.normal('devices', address)));
		if (found == null)
			sections.push({ type: 'device', name: `${name}_device_${index + 1}`, options: { [criteria.is_address(address) ? 'ip' : 'mac']: [ address ] } });
		return `@${found?.name ?? `${name}_device_${index + 1}`}`;
	});
	return { sections, names: [ ...new Set(names) ] };
}

function chosen(answers) {
	return criteria.build(Object.assign(criteria.empty(), Object.fromEntries(criteria.KINDS.filter(kind => answers[kind]).map(kind => [ kind, answers[kind] ]))));
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

const RUN = () => _('Log in to the router with SSH and paste these lines once. They write the rules to a file of their own, which the firewall loads whenever it starts.');

function recipes() {
	const apps = title => ({ name: 'apps', kind: 'apps', title, help: _('Search by name.') });
	return [ {
		name: 'bedtime',
		title: _('Block an application for a device at night'),
		intro: _('For children\'s tablets and the like: at the time you choose, whatever is playing stops; in the morning, what you open then works again.'),
		questions: [
			Object.assign(apps(_('Which applications')), { check: needed }),
			{ name: 'devices', kind: 'devices', title: _('On which devices'), help: _('By name. If a device uses a random MAC address, turn that off for your network.'), check: needed },
			{ name: 'days', kind: 'days', title: _('On which evenings'), help: '', preset: hours.KEYS, check: needed },
			{ name: 'from', kind: 'text', title: _('From'), help: '', preset: '21:00', check: time(hours.DAY - 1) },
			{ name: 'until', kind: 'text', title: _('Until'), help: _('If not later than the start: the next morning.'), preset: '06:30', check: (value, answers) =>
				time(hours.DAY)(value) || (hours.seconds(value, hours.DAY) === hours.seconds(answers.from, hours.DAY - 1)
					? _('The end must differ from the start. For the whole day: from 0:00 to 24:00.') : '') }
		],
		make: (answers, name, number, devices) => ({
			sections: [
				...devices.sections,
				{ type: 'time_of_day', name: `${name}_hours`, options: Object.assign(answers.days.length < 7 ? { day: answers.days } : {}, { time_start: answers.from, time_end: answers.until }) },
				{ type: 'target', name: `${name}_set`, options: { target_type: 'nftset', set_name: name, ttl: '600', managed: '1', cut: '1' } },
				{ type: 'action', name, options: { criteria: [ chosen({ ...answers, devices: [], networks: devices.names }) ], target: [ `${name}_set` ], time_of_day: [ `${name}_hours` ] } }
			],
			script: script(name, rules_file(
				sets(name, [ 'ipv4_addr . inet_proto . inet_service . ipv4_addr', 'ipv6_addr . inet_proto . inet_service . ipv6_addr' ], '10m'),
				{ [name]: { hook: 'forward priority filter - 1', lines: [
					`ip saddr . meta l4proto . th dport . ip daddr @${name}.v4 meta l4proto tcp counter reject with tcp reset`,
					`ip saddr . meta l4proto . th dport . ip daddr @${name}.v4 counter reject`,
					`ip6 saddr . meta l4proto . th dport . ip6 daddr @${name}.v6 meta l4proto tcp counter reject with tcp reset`,
					`ip6 saddr . meta l4proto . th dport . ip6 daddr @${name}.v6 counter reject`
				] } }
			)),
			after: RUN()
		})
	}, {
		name: 'calls',
		title: _('Prioritise calls'),
		intro: _('Voice and video calls get a mark, and their packets a high-priority class, which SQM and other queues honour (such as cake with diffserv4).'),
		questions: [
			{ name: 'categories', kind: 'categories', title: _('Which categories'), help: '', preset: [ 'voip' ] },
			Object.assign(apps(_('And which applications')), {
				check: (value, answers) => [ 'apps', 'protocols', 'categories' ].some(kind => answers[kind]?.length) ? '' : _('Choose a category, an application or a protocol.')
			}),
			{ name: 'protocols', kind: 'protocols', title: _('And which protocols'), help: '' }
		],
		make: (answers, name) => ({
			sections: [
				{ type: 'target', name: `${name}_mark`, options: { target_type: 'ctmark', mark: FIRST, mask: CLASS } },
				{ type: 'action', name, options: { criteria: [ chosen(answers) ], target: [ `${name}_mark` ] } }
			],
			script: script(name, rules_file([], { [name]: { hook: 'postrouting priority mangle', lines: [
				`ct mark and ${CLASS} == ${FIRST} ip dscp set ef counter`,
				`ct mark and ${CLASS} == ${FIRST} ip6 dscp set ef counter`
			] } })),
			after: `${RUN()} ${_('Downloads reach a queue before these rules do: for them, it must take the class from the connection. The recipe "Zoom first, BitTorrent last" of the documentation shows how.')}`
		})
	}, {
		name: 'wan2',
		title: _('Send a service through a second WAN'),
		intro: _('The daemon learns the addresses of a service, and new connections to them use the second WAN. The very first connection still uses the first WAN. Other services on the same addresses use the second WAN too.'),
		questions: [
			Object.assign(apps(_('Which applications')), { check: needed }),
			{ name: 'lan', kind: 'text', title: _('Device of your network'), help: '', preset: 'br-lan', check: device },
			{ name: 'device', kind: 'text', title: _('Device of the second WAN'), help: '', preset: 'wan2', check: device },
			{ name: 'interface', kind: 'text', title: _('Interface of the second WAN'), help: _('As the page Network > Interfaces names it.'), preset: 'wan2', check: network },
			{ name: 'interface6', kind: 'text', title: _('Its interface for IPv6'), help: _('Empty: there is none.'), preset: '', check: value => value ? network(value) : '' }
		],
		most: WAN.most,
		make: (answers, name, number) => {
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
					{ type: 'action', name, options: { criteria: [ chosen(answers) ], target: [ `${name}_set` ] } }
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
			{ name: 'devices', kind: 'devices', title: _('Devices that may use it'), help: _('An old printer, for example. Empty: none.') }
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
	const parts = [ '_hours', '_set', '_mark', '_log', ...(answers.devices ?? []).map((address, index) => `_device_${index + 1}`) ];
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
