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
 * devices (lists of values), days (list), text. Its make(answers, names) gives { sections: [ { type, name, options } ],
 * script, after }.
 */

const DNS = "protocol == 'dns';";
const CONFIG = 'netify-proc-flow-actions';

const needed = value => value?.length ? '' : _('Choose at least one.');
const time = latest => value => hours.seconds(value, latest) == null ? _('Expected a time such as 21:00.') : '';
const wrong = text => text ? _('Expected: %s').format(text) : '';
/* It goes into a script that a person runs as root. */
const device = value => wrong((/^[A-Za-z0-9._-]{1,15}$/).test(value) ? '' : _('the name of a device: letters, digits, dots and hyphens'));
const address = /^[0-9]{1,3}(\.[0-9]{1,3}){3}$/;

function chosen(answers) {
	return criteria.build(Object.assign(criteria.empty(), Object.fromEntries(criteria.KINDS.filter(kind => answers[kind]).map(kind => [ kind, answers[kind] ]))));
}

/* Commands that put rules into files of their own and let the firewall load them whenever it starts. */
function script(name, text) {
	const file = `/etc/nftables.d/nfa_${name}`;
	return [
		`cat > ${file}.rules <<'END'`, ...text, 'END',
		`echo 'nft -f ${file}.rules' > ${file}.sh`,
		`uci set firewall.nfa_${name}=include`,
		`uci set firewall.nfa_${name}.path=${file}.sh`,
		'uci commit firewall', 'service firewall reload', ''
	].join('\n');
}

function set(name, type, timeout) {
	return [ `  set ${name} {`, `    type ${type}`, '    size 65536', `    timeout ${timeout}`, '  }' ];
}

/* A file of rules that may be loaded again and again: sets as the daemon makes them, a chain, and what is in it. */
function rules_file(name, hook, sets, lines) {
	return [
		'table inet nfa {', ...sets, `  chain ${name} {`, `    type filter hook ${hook}; policy accept;`, '  }', '}', '',
		`flush chain inet nfa ${name}`, '',
		'table inet nfa {', `  chain ${name} {`, ...lines.map(line => `    ${line}`), '  }', '}'
	];
}

const RUN = () => _('Log in to the router with SSH and paste these lines once. They write the rules to a file of their own, which the firewall loads whenever it starts.');

function recipes() {
	const apps = title => ({ name: 'apps', kind: 'apps', title, help: _('Search by name.') });
	return [ {
		name: 'bedtime',
		title: _('Block an application for a device at night'),
		intro: _('For children\'s tablets and the like: at the time you choose, whatever is playing stops; in the morning it works again.'),
		questions: [
			Object.assign(apps(_('Which applications')), { check: needed }),
			{ name: 'devices', kind: 'devices', title: _('On which devices'), help: _('By name. If a device uses a random MAC address, turn that off for your network.'), check: needed },
			{ name: 'days', kind: 'days', title: _('On which evenings'), help: '', preset: hours.KEYS, check: needed },
			{ name: 'from', kind: 'text', title: _('From'), help: '', preset: '21:00', check: time(hours.DAY - 1) },
			{ name: 'until', kind: 'text', title: _('Until'), help: _('If not later than the start: the next morning.'), preset: '06:30', check: (value, answers) =>
				time(hours.DAY)(value) || (hours.seconds(value, hours.DAY) === hours.seconds(answers.from, hours.DAY - 1)
					? _('The end must differ from the start. For the whole day: from 0:00 to 24:00.') : '') }
		],
		make: (answers, name) => ({
			sections: [
				{ type: 'time_of_day', name: `${name}_hours`, options: Object.assign(answers.days.length < 7 ? { day: answers.days } : {}, { time_start: answers.from, time_end: answers.until }) },
				{ type: 'target', name: `${name}_set`, options: { target_type: 'nftset', set_name: name, ttl: '600', managed: '1', cut: '1' } },
				{ type: 'action', name, options: { criteria: [ chosen(answers) ], target: [ `${name}_set` ], time_of_day: [ `${name}_hours` ] } }
			],
			script: script(name, rules_file(name, 'forward priority filter - 1', [
				...set(`${name}.v4`, 'ipv4_addr . inet_proto . inet_service . ipv4_addr', '10m'),
				...set(`${name}.v6`, 'ipv6_addr . inet_proto . inet_service . ipv6_addr', '10m')
			], [
				`ip saddr . meta l4proto . th dport . ip daddr @${name}.v4 counter reject`,
				`ip6 saddr . meta l4proto . th dport . ip6 daddr @${name}.v6 counter reject`
			])),
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
				{ type: 'target', name: `${name}_mark`, options: { target_type: 'ctmark', mark: '0x10', mask: '0xf0' } },
				{ type: 'action', name, options: { criteria: [ chosen(answers) ], target: [ `${name}_mark` ] } }
			],
			script: script(name, rules_file(name, 'postrouting priority mangle', [], [
				'ct mark and 0xf0 == 0x10 meta nfproto ipv4 ip dscp set ef counter',
				'ct mark and 0xf0 == 0x10 meta nfproto ipv6 ip6 dscp set ef counter'
			])),
			after: RUN()
		})
	}, {
		name: 'wan2',
		title: _('Send a service through a second WAN'),
		intro: _('The daemon learns the addresses of a service, and new connections to them use the second WAN. The very first connection still uses the first WAN. Other services on the same addresses use the second WAN too.'),
		questions: [
			Object.assign(apps(_('Which applications')), { check: needed }),
			{ name: 'lan', kind: 'text', title: _('Device of your network'), help: '', preset: 'br-lan', check: device },
			{ name: 'device', kind: 'text', title: _('Device of the second WAN'), help: '', preset: 'wan2', check: device },
			{ name: 'gateway', kind: 'text', title: _('Gateway of the second WAN'), help: _('Its IPv4 address, as shown on the page Status > Overview.'), preset: '', check: value => wrong(address.test(value) && criteria.is_address(value) ? '' : _('an address such as 198.51.100.1')) },
			{ name: 'mark', kind: 'text', title: _('Mark'), help: _('A mark that mwan3, pbr and QoS do not use.'), preset: '0x200', check: value => wrong(/^0x0*$/.test(value) ? _('a mark other than 0') : /^0x/.test(value) ? rules.mark(value) : _('hexadecimal digits, such as 0x200')) }
		],
		make: (answers, name) => ({
			sections: [
				{ type: 'target', name: `${name}_set`, options: { target_type: 'nftset', set_name: name, set_family: 'ipv4', type: [ 'other_addr' ], ttl: '86400', managed: '1' } },
				{ type: 'action', name, options: { criteria: [ chosen(answers) ], target: [ `${name}_set` ] } }
			],
			script: script(name, rules_file(name, 'prerouting priority mangle', set(`${name}.v4`, 'ipv4_addr', '1d'), [
				`iifname "${answers.lan}" ct state new ip daddr @${name}.v4 ct mark set ${answers.mark}`,
				`iifname "${answers.lan}" ct mark ${answers.mark} meta mark set ${answers.mark} counter`
			])) + [
				`uci set network.nfa_${name}_route=route`, `uci set network.nfa_${name}_route.interface='${answers.device}'`,
				`uci set network.nfa_${name}_route.target='0.0.0.0/0'`, `uci set network.nfa_${name}_route.gateway='${answers.gateway}'`,
				`uci set network.nfa_${name}_route.table=102`,
				`uci set network.nfa_${name}_rule=rule`, `uci set network.nfa_${name}_rule.mark='${answers.mark}'`, `uci set network.nfa_${name}_rule.lookup=102`,
				'uci commit network', 'service network reload', ''
			].join('\n'),
			after: _('Log in to the router by SSH and paste these lines once. They write the rules, and a separate route for packets with the mark.')
		})
	}, {
		name: 'weak_tls',
		title: _('Log weak TLS'),
		intro: _('Old and unsafe encryption (SSL 3, TLS 1.0 and 1.1) is logged: which device, and where to. Nothing is blocked.'),
		questions: [
			{ name: 'path', kind: 'text', title: _('Folder'), help: _('/tmp is in memory: files there are lost when the router restarts.'), preset: '/tmp/nfa-logs', check: value => wrong(rules.path(value)) },
			{ name: 'devices', kind: 'devices', title: _('Devices that may use it'), help: _('An old printer, for example. Empty: none.') }
		],
		make: (answers, name) => ({
			sections: [
				{ type: 'target', name: `${name}_log`, options: { target_type: 'log', prefix: 'weak-tls', path: answers.path, interval: '300' } },
				{
					type: 'action', name, options: Object.assign(
						{ criteria: [ 'ssl_version && ssl_version < 0x0303;' ], target: [ `${name}_log` ] },
						answers.devices?.length ? { exemption: answers.devices } : {})
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

return baseclass.extend({
	recipes: recipes,

	/* Question to what is wrong with its answer, of those with which something is. */
	problems: (recipe, answers) => Object.fromEntries(recipe.questions.map(question =>
		[ question.name, question.check?.(answers[question.name], answers) ?? '' ]).filter(([ , text ]) => text)),

	/*
	 * What a recipe writes: { name, sections, exempt (from all policies), script, after }. taken: the names of all sections;
	 * exempt: the entries of the global exemptions. Answers to questions for names come from DNS, which is exempt: else the
	 * policy would act on the resolver.
	 */
	cook: (recipe, answers, taken, exempt) => {
		const all = name => [ name, `${name}_hours`, `${name}_set`, `${name}_mark`, `${name}_log` ];
		let name = recipe.name;
		for (let number = 2; all(name).some(one => taken.includes(one)); number++)
			name = `${recipe.name}_${number}`;
		const made = Object.assign({ name }, recipe.make(answers, name));
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
