'use strict';

/*
 * A stub of LuCI's loader: runs a module of luci-app-nfa under node, without a browser.
 *
 *	const { load } = require('./loader.js');
 *	const words = load('nfa.words');                     // htdocs/luci-static/resources/nfa/words.js
 *	const api = load('nfa.api', { rpc: { ... } });       // with stand-ins of LuCI's modules, by their names
 *
 * A module is evaluated anew by each load(), so tests share no state. What a page would make is made of plain nodes; E() takes
 * text in lists only, as the house rules have it: a string alone would be HTML in LuCI.
 */

const fs = require('node:fs');
const path = require('node:path');
const vm = require('node:vm');

const RESOURCES = path.resolve(__dirname, '../../feeds/luci-app-nfa/htdocs/luci-static/resources');

/* A node of a page: enough of the browser's for modules that build and change some. Its text is that of all below it. */
class Node {
	constructor(name, text) {
		this.name = name;
		this.text = text ?? '';
		this.attributes = {};
		this.childNodes = [];
		this.parentNode = null;
		this.style = { display: '' };
		this.dataset = {};
		if (name === 'input' || name === 'select')
			this.value = '';
	}

	get textContent() { return this.name ? this.childNodes.map(node => node.textContent).join('') : this.text; }

	set textContent(text) { this.childNodes = [ new Node('', String(text)) ]; }

	get children() { return this.childNodes.filter(node => node.name); }

	get firstChild() { return this.childNodes[0] ?? null; }

	get classes() { return (this.attributes.class ?? '').split(' ').filter(name => name); }

	get classList() {
		const set = names => { this.attributes.class = names.join(' '); };
		const list = {
			contains: name => this.classes.includes(name),
			add: name => list.toggle(name, true),
			remove: name => list.toggle(name, false),
			toggle: (name, on) => set(this.classes.filter(one => one !== name).concat(on ?? !list.contains(name) ? [ name ] : []))
		};
		return list;
	}

	focus() {}

	scrollIntoView() {}

	dispatchEvent() {}

	setAttribute(name, value) { this.attributes[name] = String(value); }

	getAttribute(name) { return this.attributes[name] ?? null; }

	hasAttribute(name) { return name in this.attributes; }

	removeAttribute(name) { delete this.attributes[name]; }

	addEventListener(name, work) { this.attributes[name] = work; }

	insertBefore(node, before) {
		node.remove();
		const place = before ? this.childNodes.indexOf(before) : this.childNodes.length;
		this.childNodes.splice(place, 0, node);
		node.parentNode = this;
		return node;
	}

	appendChild(node) { return this.insertBefore(node, null); }

	append(...nodes) { nodes.forEach(node => this.appendChild(node)); }

	replaceChildren(...nodes) {
		this.childNodes = [];
		this.append(...nodes);
	}

	remove() {
		const siblings = this.parentNode?.childNodes;
		siblings?.splice(siblings.indexOf(this), 1);
		this.parentNode = null;
	}

	/* All nodes of a name below this one, for tests. */
	all(name) {
		return this.childNodes.flatMap(node => [ ...(node.name === name ? [ node ] : []), ...node.all(name) ]);
	}
}

function listed(children) {
	if (children == null)
		return [];
	if (!Array.isArray(children))
		throw new Error(`text outside of a list is HTML in LuCI: ${String(children)}`);
	return children.map(child => {
		if (child == null)
			throw new Error('LuCI writes null in a list of children as the word');
		return child instanceof Node ? child : new Node('', String(child));
	});
}

function E(name, attributes, children) {
	if (Array.isArray(attributes))
		[ attributes, children ] = [ null, attributes ];
	if (typeof attributes === 'string')
		throw new Error(`text outside of a list is HTML in LuCI: ${attributes}`);
	const node = new Node(name);
	for (const [ key, value ] of Object.entries(attributes ?? {})) {
		if (typeof value === 'function')
			node.addEventListener(key, value);
		else if (value != null)
			node.setAttribute(key, value);
	}
	listed(children).forEach(child => node.appendChild(child));
	return node;
}

/* LuCI's String.format, as far as the modules use it. */
function format(text, values) {
	let index = 0;
	return text.replace(/%(?:\.(\d+))?([sdf%])/g, (whole, precision, kind) => {
		if (kind === '%')
			return '%';
		const value = values[index++];
		if (kind === 'd')
			return String(Math.floor(Number(value ?? 0)));
		return kind === 'f' ? Number(value ?? 0).toFixed(precision ?? 6) : String(value ?? '');
	});
}

Object.defineProperty(String.prototype, 'format', { value: function(...values) { return format(String(this), values); } });

const L = {
	// A text is parted at its spaces, as in LuCI.
	toArray: value => value == null ? [] : Array.isArray(value) ? value : typeof value === 'object' ? [ value ]
		: String(value).split(/\s+/).filter(word => word),
	naturalCompare: (one, other) => one.localeCompare(other, undefined, { numeric: true }),
	isObject: value => value != null && typeof value === 'object',
	resource: name => `/luci-static/resources/${name}`,
	url: (...parts) => `/cgi-bin/luci/${parts.join('/')}`,
	resolveDefault: (value, other) => Promise.resolve(value).catch(() => other),
	bind: (work, self, ...given) => work.bind(self, ...given),
	hasViewPermission: () => true
};

const extend = properties => properties;

/* LuCI's own kind of class, as far as widgets use it. */
function widget(properties) {
	function Widget(...given) { this.__init__(...given); }
	Object.assign(Widget.prototype, { isValid() { return this.validState !== false; }, getValidationError() { return this.validationError ?? ''; } }, properties);
	return Widget;
}

/* Stand-ins of LuCI's own modules. */
const LUCI = {
	baseclass: { extend },
	view: { extend },
	dom: { content: (node, children) => node.replaceChildren(...listed(children)), bindClassInstance: () => null },
	form: {},
	fs: { exec: () => Promise.resolve({ code: 0, stdout: '', stderr: '' }) },
	poll: { add: () => true, remove: () => true },
	rpc: { declare: () => () => Promise.resolve(4), getStatusText: status => `status ${status}` },
	uci: { load: () => Promise.resolve(), get: () => null, sections: () => [] },
	ui: { addNotification: () => null, showModal: () => null, hideModal: () => null, changes: {}, AbstractElement: { extend: widget } }
};

function file(name) {
	return path.join(RESOURCES, `${name.replaceAll('.', '/')}.js`);
}

function load(name, stubs) {
	const modules = { ...LUCI, ...stubs };
	const source = fs.readFileSync(file(name), 'utf-8');
	const names = [], values = [];
	for (const [ , wanted, as ] of source.matchAll(/^'require ([^ ']+)(?: as ([^ ']+))?';$/gm)) {
		names.push(as ?? wanted.replaceAll('.', '_'));
		values.push(wanted in modules ? modules[wanted] : load(wanted, stubs));
	}
	const document = {
		createElement: tag => new Node(tag),
		createElementNS: (space, tag) => new Node(tag),
		createTextNode: text => new Node('', text),
		getElementById: () => null,
		head: new Node('head'),
		activeElement: null
	};
	const given = { _: text => text, N_: (n, one, many) => n === 1 ? one : many, L, E, document, window: {}, CustomEvent: class {}, ...stubs?.globals };
	const parameters = [ ...Object.keys(given), ...names ];
	const run = vm.compileFunction(source, parameters, { filename: file(name) });
	return run(...Object.values(given), ...values);
}

module.exports = { load, file, format, E, L, Node, RESOURCES };
