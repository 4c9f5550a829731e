'use strict';
'require baseclass';
'require nfa.readable as readable';

/*
 * Flows as the daemon tells of them: what a person calls their ends, and expressions that speak of them
 * (docs/expressions.md). No DOM in here.
 *
 * Strangers choose the names in a flow, so an expression holds them in quotes that they cannot end, and nothing that is not
 * an address stands outside of quotes.
 */

const MAC = /^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$/i;
const ADDRESS = /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]*:[0-9a-f:.]*)$/i;
const NOBODY = '00:00:00:00:00:00';

/* The daemon cuts longer texts, so this is how a name that has been cut is known. */
const LONGEST = 256;

function known(name) {
	return (name && name.toLowerCase() != 'unknown') ? String(name) : '';
}

/* netifyd 3 has the number of an application before its name. */
function application(flow) {
	return known(flow.detected_application_name).replace(/^\d+\.(?=[^\d])/, '');
}

function protocol(flow) {
	return known(flow.detected_protocol_name);
}

function hostname(flow) {
	return String(flow.host_server_name || flow.dns_host_name || '');
}

function named(hosts, address) {
	const name = address ? hosts?.[address] ?? hosts?.[String(address).toUpperCase()] : null;
	return typeof name == 'string' ? name : '';
}

function device(flow, hosts) {
	return named(hosts, flow.local_mac) || named(hosts, flow.local_ip) || String(flow.local_ip ?? '');
}

/* A text as a regular expression that finds it. */
function literally(text) {
	return Array.from(text, letter => {
		if (/[\x00-\x1f\x7f']/.test(letter))
			return `\\x${letter.charCodeAt(0).toString(16).padStart(2, '0')}`;
		return (/[\\^$.|?*+()[\]{}]/).test(letter) ? `\\${letter}` : letter;
	}).join('');
}

/*
 * A text as a value that is equal to it: in quotes. What quotes cannot hold, or would make a regular expression of it, is
 * written as a regular expression; so is a text that has been cut.
 */
function quoted(text) {
	const letters = Array.from(text);
	if (letters.length >= LONGEST)
		return `'rx:^${literally(letters.slice(0, LONGEST).join(''))}'`;
	return (/[\x00-\x1f\x7f']/.test(text) || /^\s|\s$|^rx:/i.test(text)) ? `'rx:^${literally(text)}$'` : `'${text}'`;
}

function of_device(flow) {
	if (MAC.test(flow.local_mac) && flow.local_mac != NOBODY)
		return `mac == ${flow.local_mac.toUpperCase()}`;
	return ADDRESS.test(flow.local_ip) ? `ip == ${flow.local_ip}` : '';
}

/* A name of an application or a protocol is no text: nothing else than itself can stand for it. */
function tag(attribute, name) {
	const value = quoted(name);
	return (value.startsWith("'rx:") || (/^\d+$/).test(name)) ? '' : `${attribute} == ${value}`;
}

function of_application(flow) {
	if (application(flow))
		return tag('app', application(flow));
	return protocol(flow) ? tag('protocol', protocol(flow)) : '';
}

function of_host(flow) {
	if (flow.host_server_name)
		return `detected_hostname == ${quoted(String(flow.host_server_name))}`;
	return flow.dns_host_name ? `dns_hostname == ${quoted(String(flow.dns_host_name))}` : '';
}

return baseclass.extend({
	application: application,
	protocol: protocol,
	hostname: hostname,
	device: device,
	quoted: quoted,

	/* One end as a person writes it: an IPv6 address before a port stands in brackets. */
	end: (address, port) => {
		const host = String(address ?? '');
		if (!port)
			return host;
		return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
	},

	/* The names of the devices whose addresses are in an element, as the daemon writes it. */
	devices: (element, hosts) => {
		const names = [];
		for (const word of String(element).split(/ \. |,| > |\s|[[\]]+/)) {
			const name = named(hosts, word) || named(hosts, word.replace(/:\d+$/, ''));
			if (name && !names.includes(name))
				names.push(name);
		}
		return names;
	},

	/*
	 * What one may want to say of flows like this one: a list of { title, expression }, the closest first.
	 * `hosts`: the names of devices.
	 */
	choices: (flow, hosts) => {
		const [ who, what, where ] = [ of_device(flow), of_application(flow), of_host(flow) ];
		const name = readable.application(application(flow)) || protocol(flow);
		const list = [];
		const offer = (title, ...parts) => {
			if (parts.every(part => part))
				list.push({ title: title, expression: `${parts.join(' && ')};` });
		};
		offer(_('%s on the device %s').format(name, device(flow, hosts)), what, who);
		offer(_('everything on the device %s').format(device(flow, hosts)), who);
		offer(_('%s on every device').format(name), what);
		offer(_('the host %s, from every device').format(hostname(flow)), where);
		offer(_('the address %s, from every device').format(flow.other_ip),
			ADDRESS.test(flow.other_ip) ? `other_ip == ${flow.other_ip}` : '');
		return list;
	},

	/* A name for a policy about the flow, that UCI can have and that is not among `taken`. */
	policy_name: (flow, taken) => {
		const words = (application(flow).replace(/^netify\./, '') || protocol(flow) || 'policy').toLowerCase();
		const stem = words.replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 40) || 'policy';
		let name = stem;
		for (let number = 2; taken.includes(name) || name in {}; number++)
			name = `${stem}_${number}`;
		return name;
	}
});
