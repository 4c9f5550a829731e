'use strict';
'require baseclass';

/*
 * What the daemon takes as a value, rule by rule as nfa/config has them (convert.py, kinds.py, servers.py, service.py).
 * Pure. A rule takes a text and gives '' or, in words, what was expected.
 */

const UINT32 = 0xffffffff;
const bytes = text => new TextEncoder().encode(text).length;

function matches(pattern, words) {
	return text => pattern.test(text) ? '' : words();
}

function whole(low, high, words) {
	return text => (/^\s*[+-]?[0-9]{1,20}\s*$/).test(text) && Number(text) >= low && Number(text) <= high ? ''
		: words?.() ?? _('a whole number from %d to %d').format(low, high);
}

function ipv4(text) {
	const parts = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(text)?.slice(1);
	if (parts == null || parts.some(part => Number(part) > 255 || String(Number(part)) !== part))
		return null;
	return parts.reduce((sum, part) => sum * 256 + Number(part), 0);
}

/* The range of a bitmap: ['ip' or 'port', first, last], or null. */
function span(text) {
	const [ first, last, more ] = text.split('-').map(part => part.trim());
	let found = null;
	if (more != null)
		return null;
	if (last == null) {
		const [ address, bits ] = first.split('/');
		const at = ipv4(address);
		if (at == null || (bits != null && (!/^[0-9]{1,2}$/.test(bits) || Number(bits) > 32)))
			return null;
		const size = 2 ** (32 - Number(bits ?? 32));
		found = [ 'ip', Math.floor(at / size) * size, Math.floor(at / size) * size + size - 1 ];
	}
	else if (/^[0-9]+$/.test(first) && /^[0-9]+$/.test(last)) {
		found = [ 'port', Number(first), Number(last) ];
	}
	else {
		found = [ 'ip', ipv4(first), ipv4(last) ];
	}
	const [ kind, low, high ] = found;
	return low == null || high == null || low > high || high > (kind === 'ip' ? UINT32 : 65535) || high - low >= 65536 ? null : found;
}

/* The number of a mark, which is hexadecimal with or without 0x; null when it is none of 32 bits. */
function mark(text) {
	const match = /^\s*(0x)?([0-9a-f]{1,16})\s*$/i.exec(text);
	const value = match ? parseInt(match[2], 16) : UINT32 + 1;
	return value <= UINT32 ? value : null;
}

const NUMBER = /^(0x[0-9a-f]{1,8}|[0-9]{1,10})$/i;
const CLASSES = [ 'be', 'df', 'le', 'va', 'ef', ...[ 0, 1, 2, 3, 4, 5, 6, 7 ].map(number => `cs${number}`), ...[ 1, 2, 3, 4 ].flatMap(number => [ 1, 2, 3 ].map(drop => `af${number}${drop}`)) ];
/* Bits in a second. */
const UNITS = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9, byte: 8, kbyte: 8e3, mbyte: 8e6, gbyte: 8e9 };

/* Two numbers of 32 bits with a slash between, or null. BigInt: the operators of numbers have signs. */
function pair(text) {
	const parts = text.trim().split('/');
	const found = parts.length === 2 && parts.every(part => NUMBER.test(part)) ? parts.map(part => BigInt((/^0x/i).test(part) ? part : String(Number(part)))) : null;
	return found?.every(value => value <= UINT32) ? found : null;
}

/* The bits that a class of packets takes in the mark of a connection: MASK/STATE; null when it is none. */
function ctinfo(text) {
	const [ mask, state ] = pair(text) ?? [ 0n, 0n ];
	return mask && mask / (mask & -mask) === 63n && state && !(state & mask) ? mask | state : null;
}

const WEEKDAYS = [ 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday' ].flatMap(day => [ day, day.slice(0, 3) ]);
const plain = text => text.replace(/\s/g, '').toLowerCase();

/* Seconds of a duration of whole minutes; null for none. */
function duration(text) {
	if (!/^([0-9]{1,6}(min|[smhd]))+$/.test(plain(text)))
		return null;
	const units = { d: 86400, h: 3600, m: 60, min: 60, s: 1 };
	const found = [ ...plain(text).matchAll(/([0-9]+)(min|[smhd])/g) ].reduce((sum, [ , count, unit ]) => sum + Number(count) * units[unit], 0);
	return found % 60 === 0 && found <= 7 * 86400 ? found : null;
}

/* Bytes of a size; null for none. */
function size(text) {
	const match = /^([0-9]{1,15}(?:\.[0-9]{1,3})?)([kmgt]?)(i?)b$/.exec(plain(text));
	if (match == null || (match[3] && !match[2]))
		return null;
	const power = match[2] ? 'kmgt'.indexOf(match[2]) + 1 : 0;
	const found = Math.floor(Number(match[1]) * (match[3] ? 1024 : 1000) ** power);
	return found <= 1e15 ? found : null;
}

function rate(text) {
	const match = /^\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-z]+)(?:\/s)?\s*$/i.exec(text);
	const size = Math.floor(Number(match?.[1]) * (UNITS[match?.[2].toLowerCase()] ?? NaN) / 8);
	return size >= 1000 && size <= 125e9;
}

function server(schemes, path) {
	return text => {
		const match = /^(?:([a-z]+):\/\/)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?(\/[!-~]*)?$/.exec(text.trim());
		return match != null && (match[1] == null || schemes.includes(match[1])) && Number(match[3] ?? 0) <= 65535 && (path || (match[4] ?? '/') === '/');
	};
}

const broker = server([ 'mqtt', 'tcp', 'mqtts', 'ssl' ], false);
const url = server([ 'http', 'https' ], true);

return baseclass.extend({
	UINT32: UINT32,
	whole: whole,

	any: () => '',
	interface: matches(/^(\*|(?!\.{1,2}$)[^\s/:\x00-\x1f\x7f]{1,15})$/, () => _('*, lan, wan or the name of a device, at most 15 characters')),
	ipset_name: matches(/^(?!-)[!-~]{1,28}$/, () => _('1 to 28 characters without spaces')),
	nft_name: matches(/^[A-Za-z_.][A-Za-z0-9_./-]{0,251}$/, () => _('a letter, _ or . and then letters, digits and _ . / -')),
	nft_table: matches(/^[A-Za-z_.][A-Za-z0-9_./-]{0,254}$/, () => _('a letter, _ or . and then letters, digits and _ . / -')),
	name: matches(/^[!-~]{1,128}$/, () => _('a name without spaces')),
	file_part: matches(/^[^/\x00-\x1f\x7f]{0,128}$/, () => _('part of a file name, without /')),
	path: matches(/^(\/|\$\{)[^\x00-\x1f\x7f]*$/, () => _('an absolute path, which begins with /')),
	socket_path: text => text.startsWith('/') && bytes(text) <= 107 ? '' : _('an absolute path of at most 107 bytes'),
	mark: text => mark(text) == null ? _('at most 32 bits in hexadecimal, such as 0x85') : '',
	dscp: text => CLASSES.includes(text.trim().toLowerCase()) || ((/^\s*(0x[0-9a-f]{1,2}|0|[1-9][0-9]?)\s*$/i).test(text) && Number(text) <= 63) ? ''
		: _('a DSCP class such as EF, CS1 or AF41, or a number from 0 to 63'),
	rate: text => rate(text) ? '' : _('a number and a unit, such as 2mbit, 500kbit or 250kbyte, from 8kbit to 1000gbit'),
	masked_mark: text => {
		const [ value, mask ] = pair(text) ?? [ 0n, 0n ];
		return mask && !(value & ~mask) ? '' : _('VALUE/MASK such as 0x10/0xf0, where the value has no bits outside of the mask');
	},
	ctinfo: text => ctinfo(text) ? '' : _('MASK/STATE such as 63/128: six bits side by side, and another one'),
	/* Of budgets (nfa/compiler/config/amounts.py). */
	duration: text => duration(text) == null ? _('minutes and hours such as 30m, 1h or 1h30m, at most 7 days') : '',
	size: text => size(text) == null ? _('a number of bytes such as 500MB, 2GB or 1GiB, at most 1000 TB') : '',
	begin: text => {
		const parts = text.trim().toLowerCase().split(/\s+/);
		const clock = (/^([0-9]|[01][0-9]|2[0-3]):[0-5][0-9]$/).test(parts[parts.length - 1]);
		const days = clock ? parts.slice(0, -1) : parts;
		return days.length <= 1 && days.every(day => WEEKDAYS.includes(day)) ? '' : _('a time such as 4:00; for a week also a weekday, such as sun or sun 4:00');
	},
	day_amount: text => {
		const [ days, ...amounts ] = text.trim().toLowerCase().replace(/\s*,\s*/g, ',').split(/\s+/);
		const [ times, sizes ] = [ duration, size ].map(rule => amounts.filter(amount => rule(amount) != null).length);
		const good = days.split(',').every(day => WEEKDAYS.includes(day)) && amounts.length
			&& ((amounts.length === 1 && amounts[0] === 'unlimited') || (times + sizes === amounts.length && times < 2 && sizes < 2));
		return good ? '' : _('days and an amount, such as sat,sun 2h or fri 1h30m 4GB or sun unlimited');
	},
	network: matches(/^\s*[A-Za-z0-9_][A-Za-z0-9_.:@-]{0,31}\s*$/, () => _('a network such as wan2, or a device')),
	network_device: matches(/^\s*[^\s/:]{1,15}\s*$/, () => _('the name of a network device such as wwan0')),
	tc_class: matches(/^\s*[0-9a-fA-F]{1,4}:[0-9a-fA-F]{1,4}\s*$/, () => _('a tc class, MAJOR:MINOR in hexadecimal, such as 1:10')),
	range: text => span(text) == null ? _('such as 192.168.1.0/24, 10.0.0.1-10.0.0.99 or 1-1023, at most 65536 in all') : '',
	label: text => (/^\s*[0-9]{1,9}\s*$/.test(text) ? Number(text) <= 127 : /^(?=.*\S)[^#\x00-\x1f\x7f]{1,255}$/.test(text)) ? '' : _('a label name, or a bit from 0 to 127'),
	line: matches(/^[^\x00-\x1f\x7f-\x9f\u2028\u2029]{0,1024}$/, () => _('a single line of text')),
	event: matches(/^[A-Za-z0-9._-]{1,128}$/, () => _('letters, digits, . _ and -')),
	topic: matches(/^[^+#\x00-\x1f]{1,1024}$/, () => _('a topic without + and #')),
	client_id: matches(/^[A-Za-z0-9_-]{0,64}$/, () => _('at most 64 letters and digits, - or _')),
	mode: matches(/^0?[0-7]{3}$/, () => _('the file permissions in octal, such as 0660')),
	url: text => text.includes('://') && !text.includes('#') && url(text) ? '' : _('such as http://192.168.1.2:8080/events, without a user name or password'),
	broker: text => broker(text) ? '' : _('such as mqtt://192.168.1.2:1883 or mqtts://broker.example.org'),
	header: text => {
		const match = /^([^:]*):(.*)$/.exec(text);
		if (match == null || !/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(match[1].trim()) || !/^[^\x00-\x08\x0a-\x1f\x7f-\x9f]{0,4096}$/.test(match[2].trim()))
			return _('a header such as X-Token: abc');
		const own = [ 'connection', 'content-encoding', 'content-length', 'host', 'transfer-encoding' ].includes(match[1].trim().toLowerCase());
		return own ? _('another header: the daemon sets this one itself') : '';
	},
	listen: text => {
		const match = /^(unix|tcp|udp):\/\/(.+)$/.exec(text.trim());
		if (match == null)
			return _('unix:///PATH, tcp://ADDRESS:PORT or udp://HOST:PORT');
		if (match[1] === 'unix')
			return match[2].startsWith('/') && bytes(match[2]) <= 107 ? '' : _('unix:// and an absolute path of at most 107 bytes');
		const port = /:([0-9]{1,5})$/.exec(match[2]);
		if (port != null && Number(port[1]) > 65535)
			return _('a port up to 65535');
		const host = port != null && !/^[0-9A-Fa-f:]*:[0-9A-Fa-f:]*:/.test(match[2]) ? match[2].slice(0, -port[0].length) : match[2];
		return match[1] === 'udp' || ipv4(host) != null || /^\[?[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*\]?$/.test(host) ? ''
			: _('an address to listen on; for all addresses: tcp://0.0.0.0:PORT');
	},
	source: text => {
		const match = /^\s*(unix|tcp):\/\/(.+)$/.exec(text);
		if (match == null)
			return _('unix:///PATH or tcp://HOST:PORT');
		return (match[1] === 'unix' ? match[2].startsWith('/') && bytes(match[2]) <= 107 : /:[0-9]{1,5}$/.test(match[2]) && Number(/[0-9]+$/.exec(match[2])[0]) <= 65535)
			? '' : _('unix:///PATH or tcp://HOST:PORT');
	},
	zone: matches(/^:?[A-Za-z<][A-Za-z0-9_+,.:<>/-]{0,127}$/, () => _('a name such as Europe/Paris, or the POSIX form')),

	/* What single options cannot say. Each takes the values of a target, as its form has them. */
	check_ipset: values => {
		const type = values.type || 'hash:ip';
		const [ method, holds ] = [ type.split(':')[0], type.split(':')[1] ];
		if (method !== 'bitmap')
			return '';
		if (!values.range)
			return _('A set of type %s needs a range.').format(type);
		const found = span(values.range);
		if (found != null && found[0] !== holds)
			return holds === 'ip' ? _('The range must be of IPv4 addresses, such as 192.168.1.0/24.') : _('The range must be of ports, such as 1-1023.');
		return holds === 'ip' && values.set_family === 'ipv6' ? _('A set of type bitmap:ip is for IPv4 addresses only.') : '';
	},
	check_nftset: values => {
		const wide = values.set_family === 'ipv4' ? 4 : 16;
		const size = (values.type ?? []).reduce((sum, field) => sum + (field.endsWith('_addr') ? wide
			: { local_mac: 8, other_mac: 8, interface: 16 }[field] ?? 4), 0);
		if ((values.type ?? []).length > 5)
			return _('An element has at most 5 fields.');
		return size > 64 ? _('These fields take %d bytes; the kernel allows 64.').format(size) : '';
	},
	check_ctmark: values => {
		const [ value, shift ] = [ mark(values.mark ?? ''), Number(values.shift || 0) ];
		return value != null && value * 2 ** shift > UINT32 ? _('Shifted by %d, the mark does not fit into 32 bits.').format(shift) : '';
	},
	/* `inherited`: names of the options that the defaults of the type give. */
	check_firewall: (values, inherited) => {
		const effects = [ 'verdict', 'set_dscp', 'set_mark', 'limit', 'limit_up', 'limit_down', 'route' ].filter(name => values[name]);
		if (!effects.length && !inherited?.length)
			return _('Choose what becomes of the packets: block them, slow them down, give them a class, a mark or another WAN.');
		if (values.route && (effects.length > 1 || (values.scope ?? 'connection') !== 'connection' || (values.hook ?? 'forward') !== 'forward'))
			return _('Another WAN is about later connections, and stands alone: make another target of the rest.');
		if (values.verdict && effects.length > 1)
			return _('No packet is left for anything else: a block stands alone.');
		const [ , mask ] = pair(values.set_mark || '') ?? [ 0n, 0n ];
		return values.set_dscp && mask & (ctinfo(values.ctinfo || '63/128') ?? 0n)
			? _('The mark and the bits for the class (see "Bits for the class") overlap.') : '';
	},
	check_ctlabel: values => values.labels?.length || values.auto_label === '1' ? ''
		: _('Name a label, or turn on labels by application and protocol.')
});
