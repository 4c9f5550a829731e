'use strict';
'require baseclass';

/*
 * Choices to a flow expression and back. Pure: no DOM, no calls. docs/expressions.md has the language.
 *
 * Choices answer four questions. Within a question any one answer will do, and all questions that have an answer must
 * agree; without any answer every flow is meant:
 *
 *   what   apps, protocols, categories   app == 'netify.youtube' || category == 'games'
 *   who    devices, networks             mac == AA:BB:CC:DD:EE:FF || ip == 192.168.1.7 || local_ip == 192.168.2.0/24
 *   where  remotes                       other_ip == 203.0.113.0/24
 *   ports  ports                         other_port == 443 || (other_port >= 6881 && other_port <= 6889)
 */

/* Kind of choices to the question that it answers, in the order in which they are written. */
const QUESTIONS = { apps: 'what', protocols: 'what', categories: 'what', devices: 'who', networks: 'who', remotes: 'where', ports: 'ports' };
const KINDS = Object.keys(QUESTIONS);

/* Names of attributes, with those that mean the same, to the kind of choice that a comparison by == is. */
const ATTRIBUTES = {
	app: 'apps', application: 'apps', app_id: 'apps', application_id: 'apps',
	proto: 'protocols', protocol: 'protocols', proto_id: 'protocols', protocol_id: 'protocols',
	cat: 'categories', category: 'categories',
	mac: 'devices', ip: 'devices', local_ip: 'networks', other_ip: 'remotes', other_port: 'ports'
};
const TAGGED = { apps: 'app', protocols: 'protocol', categories: 'category' };
const COMPACT = { ai: 'apps', pi: 'protocols' };

const MAC = /^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$/;
const PORTS = /^([0-9]{1,5})(?:-([0-9]{1,5}))?$/;
const TOKEN = /[ \t\r\n]+|'([^'\n]*)'|((?:ai|pi|ac|pc):(?:'[^'\n]*'|[^\s;,!&|()']+))|(&&|\|\||==|>=|<=|[();*])|([@A-Za-z0-9_.:/-]+)/y;

function is_ipv4(text) {
	return (/^[0-9]{1,3}(\.[0-9]{1,3}){3}$/).test(text) && text.split('.').every(part => String(Number(part)) === part && Number(part) < 256);
}

function is_ipv6(text) {
	if (!/^[0-9A-Fa-f:.]+$/.test(text) || !text.includes(':'))
		return false;
	try {
		return new URL(`http://[${text}]/`).hostname !== '';
	}
	catch {
		return false;
	}
}

function is_address(text) {
	return is_ipv4(text) || is_ipv6(text);
}

function is_network(text) {
	const [ address, bits, more ] = text.split('/');
	if (bits == null || more != null || !/^[0-9]{1,3}$/.test(bits))
		return false;
	return is_ipv4(address) ? Number(bits) <= 32 : is_ipv6(address) && Number(bits) <= 128;
}

function is_group(text) {
	return (/^@[A-Za-z0-9_.:/-]+$/).test(text);
}

function is_ports(text) {
	const match = PORTS.exec(text);
	return match != null && Number(match[1]) <= 65535 && (match[2] == null || (Number(match[2]) <= 65535 && Number(match[1]) < Number(match[2])));
}

/* Whether a choice of a kind can be written down. */
function usable(kind, value) {
	if (kind in TAGGED)
		return (/^[^'\n\x00-\x1f]+$/).test(value) && !(/^rx:/i).test(value) && value.trim() === value;
	if (kind === 'devices')
		return MAC.test(value) || is_address(value);
	if (kind === 'ports')
		return is_ports(value);
	return is_address(value) || is_network(value) || is_group(value);
}

/* One way of writing what is the same: addresses of hints, of the configuration and of a person are compared as text. */
function normal(kind, value) {
	const text = String(value).trim();
	if (kind === 'devices' && MAC.test(text))
		return text.toUpperCase().replaceAll('-', ':');
	if (kind in TAGGED || kind === 'devices')
		return text.toLowerCase();
	if (kind === 'ports') {
		const match = PORTS.exec(text.replace(/\s/g, ''));
		return match == null ? text : match.slice(1).filter(part => part != null).map(Number).join('-');
	}
	return is_group(text) ? text : text.toLowerCase();
}

function comparison(kind, value) {
	if (kind in TAGGED)
		return (/^[0-9]+$/).test(value) ? `${TAGGED[kind]} == ${value}` : `${TAGGED[kind]} == '${value}'`;
	if (kind === 'devices')
		return `${MAC.test(value) ? 'mac' : 'ip'} == ${value}`;
	if (kind === 'networks')
		return `local_ip == ${value}`;
	if (kind === 'remotes')
		return `other_ip == ${value}`;
	const [ first, last ] = value.split('-');
	return last == null ? `other_port == ${first}` : `(other_port >= ${first} && other_port <= ${last})`;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* Thrown when a text is of another form; never leaves this file. */
class Other extends Error {}

function tokens(text) {
	const found = [];
	TOKEN.lastIndex = 0;
	while (TOKEN.lastIndex < text.length) {
		const match = TOKEN.exec(text);
		if (match == null)
			throw new Other();
		const [ whole, string, compact, sign, word ] = match;
		if (string != null)
			found.push({ type: 'string', text: string });
		else if (compact != null)
			found.push({ type: 'compact', text: compact });
		else if (sign != null)
			found.push({ type: sign, text: sign });
		else if (word != null && /^(and|or)$/i.test(word))
			found.push({ type: word.toLowerCase() === 'and' ? '&&' : '||', text: word });
		else if (whole.trim())
			found.push({ type: 'word', text: word });
	}
	return found;
}

/* A reader of one statement: gives a tree of { and: [] }, { or: [] } and { attribute, op, value }. */
class Reader {
	constructor(list) {
		this.list = list;
		this.at = 0;
		this.depth = 0;
	}

	next(type) {
		const token = this.list[this.at];
		if (token == null || (type != null && token.type !== type))
			throw new Other();
		this.at++;
		return token;
	}

	is(type) {
		return this.list[this.at]?.type === type;
	}

	joined(sign, name, item) {
		const items = [ item() ];
		while (this.is(sign)) {
			this.at++;
			items.push(item());
		}
		return items.length === 1 ? items[0] : { [name]: items.flatMap(one => one[name] ?? [ one ]) };
	}

	either() {
		return this.joined('||', 'or', () => this.joined('&&', 'and', () => this.atom()));
	}

	atom() {
		if (this.is('(')) {
			// The daemon refuses what is deeper.
			if (++this.depth > 50)
				throw new Other();
			this.at++;
			const inner = this.either();
			this.next(')');
			this.depth--;
			return inner;
		}
		if (this.is('compact')) {
			const [ tag, ...rest ] = this.next().text.split(':');
			const kind = COMPACT[tag];
			const value = rest.join(':').replace(/^'|'$/g, '');
			if (kind == null)
				throw new Other();
			return { kind, value: /^[0-9]+$/.test(value) ? value : tagged(kind, value) };
		}
		const attribute = this.next('word').text;
		const op = this.next();
		const value = this.next();
		if (op.type === '==' && Object.hasOwn(ATTRIBUTES, attribute))
			return choice(attribute, value);
		if (attribute === 'other_port' && (op.type === '>=' || op.type === '<=') && value.type === 'word' && PORTS.test(value.text))
			return { edge: op.type, value: value.text };
		throw new Other();
	}
}

function tagged(kind, value) {
	// Digits in quotes are a name, digits without an id: a choice could not tell them apart.
	if (!usable(kind, value) || /^[0-9]+$/.test(value))
		throw new Other();
	return normal(kind, value);
}

function choice(attribute, token) {
	const kind = ATTRIBUTES[attribute];
	if (kind in TAGGED) {
		if (token.type === 'string')
			return { kind, value: tagged(kind, token.text) };
		if (token.type === 'word' && /^[0-9]{1,9}$/.test(token.text))
			return { kind, value: token.text };
		throw new Other();
	}
	const fits = attribute === 'mac' ? MAC.test(token.text) : attribute === 'ip' ? is_address(token.text) : usable(kind, token.text);
	if (token.type !== 'word' || !fits || (kind === 'ports' && token.text.includes('-')))
		throw new Other();
	return { kind, value: normal(kind, token.text) };
}

/* The two edges of a range of ports as one choice. */
function range(items) {
	const low = items.find(item => item.edge === '>=');
	const high = items.find(item => item.edge === '<=');
	const value = normal('ports', `${low?.value}-${high?.value}`);
	if (items.length !== 2 || !is_ports(value))
		throw new Other();
	return { kind: 'ports', value };
}

/* The alternatives of one question. */
function alternatives(node) {
	return (node.or ?? [ node ]).map(item => {
		if (item.and != null)
			return range(item.and);
		if (item.kind == null)
			throw new Other();
		return item;
	});
}

function empty() {
	return Object.fromEntries(KINDS.map(kind => [ kind, [] ]));
}

function add(choices, found) {
	for (const { kind, value } of found)
		if (!choices[kind].includes(value))
			choices[kind].push(value);
}

function questions(choices) {
	return [ ...new Set(KINDS.filter(kind => choices[kind]?.length).map(kind => QUESTIONS[kind])) ];
}

function statement(list) {
	const choices = empty();
	if (list.length === 1 && list[0].type === '*')
		return choices;
	const reader = new Reader(list);
	const tree = reader.either();
	if (reader.at !== list.length)
		throw new Other();
	const parts = (tree.and ?? [ tree ]);
	const edges = parts.filter(part => part.edge != null);
	const groups = parts.filter(part => part.edge == null).map(alternatives);
	if (edges.length)
		groups.push([ range(edges) ]);
	for (const group of groups) {
		const asked = new Set(group.map(item => QUESTIONS[item.kind]));
		if (asked.size !== 1 || questions(choices).includes([ ...asked ][0]))
			throw new Other();
		add(choices, group);
	}
	return choices;
}

function statements(list) {
	const found = [];
	let from = 0;
	list.forEach((token, at) => {
		if (token.type === ';') {
			found.push(list.slice(from, at));
			from = at + 1;
		}
	});
	if (from < list.length)
		found.push(list.slice(from));
	return found;
}

/* ---- texts of several entries ------------------------------------------------------------------------------------ */

/* Whether a text ends behind a `;` that is in no string. */
function ended(text) {
	return (/;\s*$/).test(text.replace(/'[^'\n]*'|"[^"\n]*"/g, "''"));
}

/* A line that is an entry without a `;`: every flow, the compact form, or a file or folder. */
function alone(line) {
	return line === '*' || /^!?(ai|pi|ac|pc):[^;]*$/.test(line) || line.startsWith('/') || line.startsWith('${');
}

return baseclass.extend({
	KINDS: KINDS,
	usable: usable,
	normal: normal,
	empty: empty,
	/* Whether a text is a choice for certain: an address that is written out, but no name, which may be a part of another. */
	is_whole: (kind, text) => !(kind in TAGGED) && !is_group(text) && usable(kind, normal(kind, text)),
	is_address: is_address,

	/* Whether nothing is chosen, so every flow is meant. */
	is_empty: choices => !questions(choices).length,

	/* The choices as an expression. Throws an Error for a choice that cannot be written. */
	build: choices => {
		const groups = {};
		for (const kind of KINDS)
			for (const value of choices[kind] ?? []) {
				const text = normal(kind, value);
				if (!usable(kind, text))
					throw new Error(_('"%s" cannot be used here.').format(value));
				(groups[QUESTIONS[kind]] ??= []).push(comparison(kind, text));
			}
		const found = Object.values(groups);
		if (!found.length)
			return '*';
		const many = found.length > 1;
		return `${found.map(group => many && group.length > 1 ? `(${group.join(' || ')})` : group.join(' || ')).join(' && ')};`;
	},

	/*
	 * The choices that an expression (or a list of them, of which any one matches) is made of; null when it says what
	 * choices cannot say. A list is simple when all its entries answer the same single question.
	 */
	parse: text => {
		try {
			const found = (Array.isArray(text) ? text : [ text ]).flatMap(entry => {
				if (/^\s*(\/|\$\{)/.test(entry))
					throw new Other();
				return statements(tokens(entry)).map(statement);
			});
			if (found.length === 1)
				return found[0];
			const choices = empty();
			const asked = found.flatMap(one => questions(one).length === 1 ? questions(one) : [ '' ]);
			if (!found.length || asked.includes('') || new Set(asked).size !== 1)
				return null;
			for (const one of found)
				add(choices, KINDS.flatMap(kind => one[kind].map(value => ({ kind, value }))));
			return choices;
		}
		catch (error) {
			if (error instanceof Other)
				return null;
			throw error;
		}
	},

	/* Whether two sets of choices are the same, in whatever order. */
	same: (one, other) => KINDS.every(kind =>
		JSON.stringify([ ...(one?.[kind] ?? []) ].sort()) === JSON.stringify([ ...(other?.[kind] ?? []) ].sort())),

	/* The entries of a list as a text to edit, and back: an entry a line, or up to the `;` at the end of a line. */
	text: entries => entries.map(entry => {
		const line = entry.replace(/\s*\n\s*/g, ' ').trim();
		return (!line || ended(line) || alone(line)) ? line : `${line};`;
	}).join('\n'),
	entries: text => {
		const found = [];
		let open = '';
		for (const line of text.split('\n').map(one => one.trim())) {
			const whole = open ? `${open} ${line}`.trim() : line;
			if (whole && (ended(whole) || !line || (!open && alone(line)))) {
				found.push(whole);
				open = '';
			}
			else {
				open = whole;
			}
		}
		return open ? [ ...found, open ] : found;
	}
});
