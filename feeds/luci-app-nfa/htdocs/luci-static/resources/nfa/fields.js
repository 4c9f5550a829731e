'use strict';
'require baseclass';
'require nfa.rules as rules';

/*
 * Every option that the forms write, section by section, as data: nfa.build makes form fields of it, and
 * tests/luci/test_luci_options.py compares it with the tables of the daemon (nfa/compiler/config/options.py). No DOM.
 *
 * name: of the option, as it is written; other: further names that the daemon reads. kind: flag, text, secret, select, list
 * (of free texts), picks (of choices, in order) or own (the view makes the field itself). preset: what holds when the option
 * is missing. rule: of nfa.rules. more: shown on the second tab. only: shown where one of these conditions is met, each of
 * names and values (or patterns) of the same type's fields.
 */

const field = (name, kind, title, help, rest) => Object.assign({ name, kind, title, help, other: [] }, rest);
const flag = (name, title, help, rest) => field(name, 'flag', title, help, Object.assign({ preset: '0' }, rest));
const number = (name, low, high, preset, title, help, rest) =>
	field(name, 'text', title, help, Object.assign({ preset: String(preset ?? ''), rule: rules.whole(low, high) }, rest));

const MAX_TTL = 2147483;

const INTERFACE = () => field('interface', 'text', _('Device or role'),
	_('lan, wan or the name of a device. *: every interface.'), { preset: '*', rule: rules.interface, more: true });
const ENABLE = () => flag('enable', _('Enabled'), '', { preset: '1', other: [ 'enabled' ] });
const FILE_BOUNDS = () => [
	number('max_files', 0, rules.UINT32, 1000, _('Most files'), _('The oldest are deleted. 0: any number.'), { more: true }),
	number('max_bytes', 0, rules.UINT32, 4194304, _('Most bytes of all files'), _('The oldest are deleted. 0: any number.'), { more: true })
];
const CA_FILE = () => field('ca_file', 'text', _('CA certificate'),
	_('The file of the CA to trust. Empty: those of the system.'), { rule: rules.path, more: true });
const CONNECT = () => number('timeout_connect', 1, 3600, 30, _('Timeout for connecting'), _('In seconds.'), { more: true });
const FORMATS = () => [ [ 'json', 'JSON' ], [ 'msgpack', 'MessagePack' ] ];

const FAMILY = () => field('set_family', 'select', _('Addresses'), _('Which addresses the set contains. Both: two sets, NAME.v4 and NAME.v6.'),
	{ preset: '*', choices: [ [ '*', _('IPv4 and IPv6') ], [ 'ipv4', _('IPv4 only') ], [ 'ipv6', _('IPv6 only') ] ], more: true });
const TTL = () => number('ttl', 0, MAX_TTL, 60, _('Timeout in seconds'),
	_('How long an element stays after netifyd last reported traffic of its flow. 0: until it is removed. With 60 or more it stays as long as there is traffic.'));
const MANAGED = () => flag('managed', _('Create the set'), _('The daemon creates the table and the set if they do not exist.'));
const SIZE = () => number('size', 1, rules.UINT32, 65536, _('Size'), _('How many elements a set can hold.'), { other: [ 'max_elements' ], more: true });
const FLUSHES = () => [
	flag('flush_on_create', _('Empty the set at the start'), _('If the daemon creates it.'), { more: true }),
	flag('flush_on_destroy', _('Empty the set at the end'), _('Even if the daemon did not create it.'), { more: true })
];

/* What all targets have, besides their type. */
function common() {
	return [
		field('target_type', 'own', _('Type'), '', { required: true }),
		flag('target_enabled', _('Enabled'), _('Whether the target is used.'), { preset: '1' }),
		INTERFACE(),
		flag('cut', _('Cut existing connections'),
			_('Delete the conntrack entry of a flow when it starts to match, so that its next packet goes through the rules. For sets whose rules block or redirect. A firewall target that blocks does it by itself where flow offloading is on.'), { more: true })
	];
}

const SOME = /./;

/* What becomes of packets. */
function firewall() {
	const limited = [ { limit: SOME }, { limit_up: SOME }, { limit_down: SOME } ];
	return [
		field('verdict', 'select', _('Block'), _('Packets go no further. A block stands alone: nothing else is needed.'), {
			preset: '', effect: true,
			choices: [ [ '', _('no') ], [ 'reject', _('reject: tell the sender') ], [ 'drop', _('drop: say nothing') ] ]
		}),
		field('limit', 'text', _('Limit'), _('What may pass in a second, upload and download each, such as 2mbit or 250kbyte. More is dropped.'), { rule: rules.rate, effect: true }),
		field('limit_up', 'text', _('Limit for uploads'), _('Instead of the limit for both directions.'), { rule: rules.rate, effect: true, more: true }),
		field('limit_down', 'text', _('Limit for downloads'), _('Instead of the limit for both directions.'), { rule: rules.rate, effect: true, more: true }),
		flag('per_device', _('That much for each device'), _('If off, all connections that reach the target share the limit.'), { only: limited }),
		field('set_dscp', 'text', _('Class (DSCP)'), _('What SQM and other queues go by: EF for calls, AF41 for video, CS1 for what may wait. In both directions.'), { rule: rules.dscp, effect: true }),
		field('scope', 'select', _('What it holds for'), _('The connection that matched; or all connections of its device to the same server and port; or everything that the device does.'), {
			preset: 'connection', choices: [
				[ 'connection', _('the connection') ], [ 'server', _('its device and server') ], [ 'device', _('the whole device') ]
			]
		}),
		number('ttl', 1, MAX_TTL, 300, _('Timeout in seconds'), _('How long it holds after netifyd last reported traffic.'), { more: true }),
		field('set_mark', 'text', _('Mark'), _('A mark of packets and of the connection, VALUE/MASK such as 0x10/0xf0, for those who route or shape by marks. Only the bits of the mask are written.'),
			{ rule: rules.masked_mark, effect: true, more: true }),
		field('ctinfo', 'text', _('Bits for the class'), _('Where the mark of the connection holds the class for downloads, MASK/STATE: what "tc ... action ctinfo dscp MASK STATE" reads. The SQM script layer_cake_ct.qos reads 63/128.'),
			{ preset: '63/128', rule: rules.ctinfo, only: [ { set_dscp: SOME } ], more: true }),
		field('hook', 'select', _('Which packets'), _('Those that the router forwards, or those from and to itself: but never its SSH, LuCI, DNS and DHCP.'), {
			preset: 'forward', more: true, choices: [ [ 'forward', _('forwarded packets') ], [ 'router', _('the router\'s own') ] ]
		}),
		field('route', 'text', _('Another WAN'), _('For later connections to the servers of what matched: a network such as wan2, or a device. It stands alone: make another target of anything else.'),
			{ rule: rules.network, effect: true, more: true }),
		field('route_mark', 'text', _('Mark of that WAN'), _('VALUE/MASK. Empty: bits that nobody uses.'), { rule: rules.masked_mark, only: [ { route: SOME } ], more: true }),
		field('route_device', 'text', _('Device of that WAN'), _('Where the network does not tell, as of a modem.'), { rule: rules.network_device, only: [ { route: SOME } ], more: true }),
		flag('fallback', _('The usual way while that WAN is down'), _('If off, connections get none then.'), { preset: '1', only: [ { route: SOME } ], more: true })
	];
}

function targets() {
	return {
		firewall: firewall(),
		nftset: [
			field('set_name', 'text', _('Name of the set'), _('.v4 and .v6 are appended.'), { required: true, rule: rules.nft_name }),
			field('type', 'picks', _('Fields of an element'), _('In the order in which rules use them, at most 5.'), {
				preset: 'local_addr ip_proto other_port other_addr',
				split: /[\s,.]+/,
				choices: [
					[ 'local_addr', _('local address') ], [ 'ip_proto', _('IP protocol') ], [ 'other_port', _('other port') ],
					[ 'other_addr', _('other address') ], [ 'local_mac', _('local MAC address') ], [ 'other_mac', _('other MAC address') ],
					[ 'local_port', _('local port') ], [ 'mark', _('conntrack mark') ], [ 'interface', _('capture device') ]
				]
			}),
			TTL(), MANAGED(),
			field('table_name', 'text', _('Table'), _('Rules that use the set must be in the same table.'),
				{ preset: 'nfa', rule: rules.nft_table, more: true }),
			field('table_family', 'select', _('Family of the table'), '',
				{ preset: 'inet', choices: [ 'inet', 'ip', 'ip6', 'arp', 'bridge', 'netdev' ].map(name => [ name, name ]), more: true }),
			FAMILY(), SIZE(), ...FLUSHES()
		],
		ipset: [
			field('set_name', 'text', _('Name of the set'), _('.v4 and .v6 are appended.'), { required: true, rule: rules.ipset_name }),
			field('type', 'select', _('Type of the set'), '', {
				preset: 'hash:ip',
				normal: text => text.replace(/\s/g, '').toLowerCase().replace(/^(?!.*:)/, 'hash:'),
				choices: [ 'hash:ip', 'hash:ip,port', 'hash:ip,port,ip', 'hash:mac', 'bitmap:ip', 'bitmap:port' ].map(name => [ name, name ])
			}),
			field('range', 'text', _('Range'), _('What a bitmap covers: a network, FIRST-LAST, or ports.'),
				{ rule: rules.range, only: [ { type: 'bitmap:ip' }, { type: 'bitmap:port' } ] }),
			field('address_type', 'select', _('Which address'), '',
				{ preset: 'other', choices: [ [ 'other', _('the other end') ], [ 'local', _('the local end') ] ], only: [ { type: 'hash:ip' }, { type: 'bitmap:ip' } ] }),
			TTL(), MANAGED(), FAMILY(), SIZE(), ...FLUSHES(),
			field('skb_mark', 'text', _('Firewall mark'), _('For packets that match, in hexadecimal; used by -j SET --map-set.'), { rule: rules.mark, more: true }),
			field('skb_mask', 'text', _('Mask of the mark'), _('The bits of the mark that count.'), { preset: '0xffffffff', rule: rules.mark, more: true }),
			field('skb_prio', 'text', _('tc class'), _('MAJOR:MINOR in hexadecimal, for packets that match.'), { rule: rules.tc_class, more: true }),
			number('skb_queue', 0, 65535, '', _('Hardware queue'), _('For packets that match.'), { more: true })
		],
		ctmark: [
			field('mark', 'text', _('Mark'), _('The conntrack mark, in hexadecimal, such as 0x10.'), { required: true, rule: rules.mark }),
			field('mask', 'text', _('Mask'), _('The bits that are written.'), { preset: '0xffffffff', rule: rules.mark }),
			number('shift', 0, 31, 0, _('Shift'), _('How many bits to shift the mark to the left first.'), { more: true })
		],
		ctlabel: [
			field('labels', 'list', _('Labels'), _('Names of connlabel.conf, or bits from 0 to 127.'), { other: [ 'label' ], rule: rules.label }),
			flag('auto_label', _('Labels by application and protocol'), _('By the names a-APPLICATION and p-PROTOCOL of connlabel.conf.')),
			flag('log_errors', _('Log flows that could not be labelled'), '', { more: true })
		],
		log: [
			field('prefix', 'text', _('File name prefix'), '', { preset: 'netify-flow-actions', rule: rules.file_part }),
			field('path', 'text', _('Folder'), _('Below /tmp, /var/log, /mnt or /srv; created if missing. On a router, /tmp is in memory.'), { preset: '/tmp', rule: rules.path }),
			field('suffix', 'text', _('File name suffix'), '', { preset: '.json', rule: rules.file_part, more: true }),
			number('interval', 1, MAX_TTL, 60, _('Seconds per file'), ''),
			...FILE_BOUNDS()
		],
		sink: [
			field('sink', 'own', _('Sink'), _('A sink from the list below, or from netifyd\'s own files.'), { required: true, rule: rules.name }),
			field('channel', 'own', _('Channel'), _('Not needed for a sink with one channel.'), { preset: 'flow-actions', rule: rules.name }),
			field('flow_events', 'picks', _('Events'), '', {
				preset: 'new updated expired', split: /[\s|,]+/,
				choices: [ [ 'new', _('new: a flow starts to match') ], [ 'updated', _('updated: more is known of it') ], [ 'expired', _('expired: it has ended') ] ]
			}),
			field('format', 'select', _('Format'), '', { preset: 'json', choices: FORMATS(), more: true }),
			field('compressor', 'select', _('Compression'), '', { preset: 'none', choices: [ [ 'none', _('none') ], [ 'gz', 'gzip' ] ], more: true }),
			flag('header', _('Length before each record'), _('The way netifyd writes it. For log and socket sinks that readers connect to.'), { more: true })
		]
	};
}

/* What sinks and their channels say, by the type of the sink. */
function channels() {
	return {
		log: [
			ENABLE(),
			field('path', 'text', _('Folder'), _('Below /tmp, /var/log, /mnt or /srv; created if missing.'), { preset: '/tmp', rule: rules.path, other: [ 'log_path' ] }),
			field('prefix', 'text', _('File name prefix'), '', { preset: 'netify-flow-actions-', rule: rules.file_part, other: [ 'log_name' ] }),
			flag('overwrite', _('One file only'), _('Each file replaces the one before.')),
			number('interval', 1, MAX_TTL, 60, _('Seconds per file'), ''),
			...FILE_BOUNDS()
		],
		socket: [
			ENABLE(),
			field('listen', 'text', _('Where readers connect'),
				_('unix:///PATH or tcp://ADDRESS:PORT to listen on, udp://HOST:PORT to send to. Anyone who can reach it sees all flows of the target.'),
				{ required: true, rule: rules.listen, other: [ 'bind_address' ] }),
			number('default_port', 1, 65535, '', _('Port'), _('If the address has none.'), { more: true }),
			field('mode', 'text', _('Permissions of a unix socket'), _('In octal.'), { preset: '0600', rule: rules.mode, more: true })
		],
		ubus: [
			ENABLE(),
			field('event', 'text', _('Event name'), '', { preset: 'nfa.flow', rule: rules.event, other: [ 'path' ] })
		],
		http: [
			ENABLE(),
			field('url', 'text', _('URL to post events to'), _('https needs the package python3-openssl.'), { required: true, rule: rules.url }),
			field('headers', 'list', _('Headers'), _('Such as X-Token: abc. They are shown only here.'), { other: [ 'header' ], rule: rules.header }),
			number('batch', 1, 1000, 100, _('Events in one request'), _('At most. 1: each event on its own, not in a list.')),
			number('interval', 1, 3600, 1, _('Seconds to collect events'), _('How long an event waits for others.'), { more: true }),
			CONNECT(),
			number('timeout_transfer', 1, 3600, 300, _('Timeout for the answer'), _('In seconds.'), { more: true }),
			CA_FILE()
		],
		mqtt: [
			ENABLE(),
			field('broker', 'text', _('Broker'), _('Such as mqtt://192.168.1.2. mqtts needs the package python3-openssl.'),
				{ required: true, rule: rules.broker, other: [ 'host' ] }),
			number('port', 1, 65535, '', _('Port'), _('If the broker has none. Empty: 1883, or 8883 with TLS.'), { more: true }),
			field('topic', 'text', _('Topic'), '', { preset: 'netify/${channel}', rule: rules.topic }),
			field('username', 'text', _('User name'), '', { rule: rules.line, other: [ 'user' ] }),
			field('password', 'secret', _('Password'), _('Needs a user name.'), { rule: rules.line, other: [ 'pass' ] }),
			field('qos', 'select', _('Quality of service'), '',
				{ preset: '1', choices: [ [ '0', _('0: at most once') ], [ '1', _('1: at least once') ] ], normal: text => text === '2' ? '1' : text, other: [ 'message_qos' ], more: true }),
			flag('retain', _('Keep the last event'), _('The broker keeps it for later subscribers.'), { other: [ 'message_retain' ], more: true }),
			field('client_id', 'text', _('Client name'), _('Empty: a random one.'), { rule: rules.client_id, more: true }),
			CONNECT(), CA_FILE()
		]
	};
}

return baseclass.extend({
	targets: targets,
	common: common,
	channels: channels,

	action: () => [
		flag('enabled', _('Enabled'), '', { preset: '1' }),
		field('criteria', 'own', _('With what, and whose'), '', { required: true }),
		field('target', 'own', _('What to do'), '', { required: true, other: [ 'targets' ] }),
		field('time_of_day', 'own', _('When'), '', {}),
		field('exemption', 'own', _('Except'), '', { other: [ 'exemptions' ] }),
		field('budget', 'own', _('Acts'), '', {}),
		INTERFACE(),
		flag('halt_on_match', _('Stop here'), _('After a match, later rules are not tried.'), { more: true }),
		number('priority', 0, 2147483647, 100, _('Priority'), _('The lowest number is tried first, equal numbers in the order of the list.'), { more: true })
	],

	/* What has to be used up before a rule acts. */
	budget: () => [
		field('time', 'text', _('Time'), _('Active minutes, such as 30m or 1h30m.'), { rule: rules.duration }),
		field('bytes', 'text', _('Data'), _('Down and up together, such as 500MB or 2GB. With both, what is used up first counts.'), { rule: rules.size }),
		field('period', 'select', _('For each'), '', { preset: 'day', choices: [ [ 'day', _('day') ], [ 'week', _('week') ] ] }),
		field('start', 'text', _('Which begins'), _('At a time such as 4:00; a week also on a weekday, such as sun 4:00. Empty: at 0:00, a week on Monday.'), { rule: rules.begin }),
		field('day', 'list', _('Other amounts on some days'), _('Such as sat,sun 2h, or fri 1h30m 4GB, or sun unlimited.'), { other: [ 'days' ], rule: rules.day_amount }),
		flag('shared', _('One budget for all devices together'), _('If off, each device has it for itself.')),
		field('exempt_time', 'own', _('Free hours'), '', {})
	],

	exemption: () => [ field('exemption', 'own', _('Exemptions'), '', { other: [ 'exemptions' ] }) ],

	time_of_day: () => [
		field('day', 'own', _('Days'), '', { other: [ 'days' ] }),
		field('time_start', 'own', _('From'), '', { preset: '00:00' }),
		field('time_end', 'own', _('Until'), _('If not later than the start: past midnight, into the next day.'), { preset: '24:00' }),
		field('policy', 'own', _('Apply'), '', { preset: 'inclusive', choices: [ [ 'inclusive', _('within these hours') ], [ 'exclusive', _('at all other times') ] ] })
	],

	/* pftable is of FreeBSD and has no form. */
	types: () => [
		[ 'firewall', _('firewall: packets') ],
		[ 'nftset', _('nftset: an nftables set') ], [ 'ipset', _('ipset: an ipset') ], [ 'ctmark', _('ctmark: a connection mark') ],
		[ 'ctlabel', _('ctlabel: connection labels') ], [ 'log', _('log: files of matches') ], [ 'sink', _('sink: other programs') ]
	],
	kinds: () => [
		[ 'log', _('log: files') ], [ 'socket', _('socket: unix, tcp or udp') ], [ 'ubus', _('ubus: events on the bus') ],
		[ 'http', _('http: posts to a server') ], [ 'mqtt', _('mqtt: publishes to a broker') ]
	],

	sink: () => [ field('type', 'own', _('Type'), '', { required: true }) ],
	channel: () => [ field('sink', 'own', _('Sink'), '', { required: true, rule: rules.name }) ],

	/* Options for all labels. */
	target_global: () => ({
		ctlabel: [
			number('max_bits', 1, 128, 127, _('Labels of this system'), ''),
			field('connlabel_conf', 'text', _('Label file'), _('The file that names the labels.'),
				{ preset: '/etc/xtables/connlabel.conf, /etc/connlabel.conf', rule: rules.path })
		]
	}),

	/* The section nfa 'main'. */
	main: () => [
		flag('enabled', _('Start the service'), _('Whether the service may start.'), { preset: '1' }),
		field('source', 'text', _('Socket of netifyd'), '', { preset: 'unix:///var/run/netifyd/netifyd.sock', rule: rules.source }),
		field('timezone', 'text', _('Time zone'), _('Empty: that of the router (System). The POSIX form, such as CET-1CEST,M3.5.0,M10.5.0/3, needs nothing else; a name such as Europe/Paris needs the zoneinfo packages.'), { rule: rules.zone }),
		flag('reprocess_flows', _('Changes reach live flows'), _('If off, what a change begins applies to a live flow with its next record. What it ends, ends at once.'), { preset: '1' }),
		number('max_flows', 1024, 1048576, 65536, _('Flows to remember'), _('The oldest are evicted first.')),
		flag('adopt', _('Take over running connections at the start'), _('netifyd reports a connection once. If on, forwarded connections that began before are interrupted when the service starts, so that they begin again and policies apply to them.')),
		field('log_level', 'select', _('Log'), '', {
			preset: 'notice', normal: text => text === 'info' ? 'notice' : text,
			choices: [ [ 'error', _('errors only') ], [ 'warning', _('warnings') ], [ 'notice', _('notices') ], [ 'debug', _('each match') ] ]
		}),
		field('json_config', 'list', _('JSON files'), _('More files or folders to read, or the word none. Empty: netifyd\'s own file, if it exists.'), { rule: text => text === 'none' ? '' : rules.path(text) }),
		field('control', 'text', _('Control socket'), _('It is read when the daemon starts.'), { preset: '/var/run/nfa/control.sock', rule: rules.socket_path })
	]
});
