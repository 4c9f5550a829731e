'use strict';

/* A person types into a list: what is chosen is what was meant, or nothing. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const criteria = load('nfa.criteria');
const NAS = '02:00:00:00:00:01', TABLET = '02:00:00:00:00:02';
const DEVICES = [
	{ value: NAS, label: `NAS (${NAS})`, name: 'NAS', note: '192.168.1.10' },
	{ value: TABLET, label: `tablet (${TABLET})`, name: 'tablet', note: '192.168.1.20' }
];
const APPS = [ [ 'azoom', 'calls' ], [ 'youtube', 'video' ], [ 'zoom', 'calls' ], [ 'zoomer', 'radio' ] ].map(([ name, note ]) =>
	({ value: `netify.${name}`, label: name, note }));

function picker(options) {
	const { Picker } = load('nfa.picker');
	const field = new Picker([], { label: 'x', ...options });
	field.render();
	return {
		field,
		type: text => {
			field.input.value = text;
			field.search();
			return field;
		},
		press: key => field.press({ key, preventDefault: () => null, stopPropagation: () => null }),
		get error() { return field.problem.textContent; }
	};
}

const of_kind = kind => ({
	choices: kind === 'devices' ? DEVICES : APPS, split: ![ 'apps', 'protocols', 'categories' ].includes(kind),
	normal: text => criteria.normal(kind, text), whole: text => criteria.is_whole(kind, text)
});

function entered(options, text) {
	const person = picker(options);
	person.type(text);
	person.press('Enter');
	return person.field.getValue();
}

function left(options, text) {
	const person = picker(options);
	person.type(text);
	person.field.leave();
	return [ person.field.getValue(), person.field.input.value, person.error, person.field.isValid() ];
}

test('an address is not that of a device whose address is longer', () => {
	assert.deepEqual(entered(of_kind('devices'), '192.168.1.1'), [ '192.168.1.1' ]);
	assert.deepEqual(entered(of_kind('devices'), '192.168.1.10'), [ NAS ]);
	assert.deepEqual(entered(of_kind('devices'), '192.168.1.1, 192.168.1.2'), [ '192.168.1.1', '192.168.1.2' ]);
});

test('Enter takes what is called so, or begins so', () => {
	assert.deepEqual(entered(of_kind('devices'), 'nas'), [ NAS ]);
	assert.deepEqual(entered(of_kind('devices'), 'table'), [ TABLET ]);
	assert.deepEqual(entered(of_kind('apps'), 'zoom'), [ 'netify.zoom' ]);
	assert.deepEqual(entered(of_kind('apps'), 'NETIFY.ZOOM'), [ 'netify.zoom' ]);
	assert.deepEqual(entered(of_kind('apps'), 'youtu'), [ 'netify.youtube' ]);
});

test('a text within another name is used as it is, where that may be', () => {
	assert.deepEqual(entered(of_kind('apps'), 'tube'), [ 'tube' ]);
	assert.deepEqual(entered({ ...of_kind('apps'), create: false }, 'tube'), [ 'netify.youtube' ]);
});

test('a note that several have chooses none of them', () => {
	assert.deepEqual(entered(of_kind('apps'), 'calls'), [ 'calls' ]);
	assert.deepEqual(entered(of_kind('apps'), 'radio'), [ 'netify.zoomer' ]);
});

test('the keys choose another one', () => {
	const person = picker(of_kind('apps'));
	person.type('zoom');
	person.press('ArrowDown');
	person.press('Enter');
	assert.deepEqual(person.field.getValue(), [ 'netify.zoomer' ]);
});

test('who leaves a field has chosen what is written out', () => {
	assert.deepEqual(left(of_kind('apps'), 'youtube'), [ [ 'netify.youtube' ], '', '', true ]);
	assert.deepEqual(left(of_kind('devices'), '192.168.1.1'), [ [ '192.168.1.1' ], '', '', true ]);
	assert.deepEqual(left(of_kind('devices'), ''), [ [], '', '', true ]);
});

test('a part of a name stays in the field, and is said not to be used', () => {
	for (const [ options, text ] of [ [ of_kind('apps'), 'youtu' ], [ of_kind('devices'), '192.168.1' ], [ { ...of_kind('apps'), create: false }, 'youtu' ] ]) {
		const [ values, rest, error, valid ] = left(options, text);
		assert.deepEqual([ values, rest, valid ], [ [], text, false ]);
		assert.ok(error.includes('%s') === false && error.includes(text), error);
	}
});

test('devices of the configuration can be chosen by name', () => {
	const { configured } = load('nfa.checked');
	const rows = [ { name: 'tablet', title: "Tom's", addresses: [ { address: '192.168.1.7' }, { address: 'fe80::1' }, { address: 'fd00::1' } ] },
		{ name: 'tv', title: '', addresses: [] }, { name: '', title: '', addresses: [] } ];
	assert.deepEqual(configured(rows).map(({ value, label, note }) => [ value, label, note ]),
		[ [ '@tablet', "Tom's (tablet)", '192.168.1.7, fe80::1' ], [ '@tv', 'tv', '' ] ]);
});

test('networks are those of the devices that are known', () => {
	const { networks } = load('nfa.checked');
	const hints = { a: { ipaddrs: [ '192.168.1.7', '192.168.1.8' ] }, b: { ipaddrs: [ '192.168.1.9', '10.0.0.1' ] }, c: { ip6addrs: [ 'fe80::1' ] }, d: { ipaddrs: [ 'x' ] } };
	assert.deepEqual(networks(hints).map(({ value, note }) => `${value} ${note}`), [ '10.0.0.0/24 1 known device', '192.168.1.0/24 2 known devices' ]);
	assert.deepEqual(networks(null), []);
});

test('what was said of a text goes with it', () => {
	const person = picker(of_kind('apps'));
	person.type('youtu');
	person.field.leave();
	person.type('youtube');
	assert.equal(person.error, '');
	person.field.leave();
	assert.equal(person.field.isValid(), true);
	person.type('zoo');
	person.field.leave();
	person.field.setValue([]);
	assert.deepEqual([ person.error, person.field.input.value, person.field.isValid() ], [ '', '', true ]);
});
