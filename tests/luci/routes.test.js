'use strict';

/* What the network lacks for another WAN: how it is shown, and how it is written. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, E } = require('./loader.js');

const change = (section, type, option, value) => ({ section, type, option, value });
const CHANGES = [
	change('old', 'interface', 'ip6table', null),
	change('nfa_old', 'rule', '', null),
	change('wan2', 'interface', 'ip4table', '7701'),
	change('wan2', 'interface', 'ip6table', '7701'),
	change('nfa_wan2', 'rule', '', 'rule'),
	change('nfa_wan2', 'rule', 'mark', '0x4000/0xc000'),
	change('nfa_wan2_6', 'rule6', 'lookup', '7701')
];

/* The module, with what was done to UCI; `there`: sections of the network. */
function made({ there = [], may = true, changes = CHANGES, waiting = {} } = {}) {
	const done = [], dialogs = [];
	const uci = {
		load: name => Promise.resolve(done.push([ 'load', name ])),
		get: (name, section) => there.includes(section) ? { '.name': section } : null,
		changes: () => Promise.resolve(waiting),
		save: () => Promise.resolve(done.push([ 'save' ]))
	};
	for (const name of [ 'add', 'remove', 'set', 'unset' ])
		uci[name] = (...given) => done.push([ name, ...given ]);
	const routes = load('nfa.routes', {
		uci,
		ui: { changes: { apply: checked => done.push([ 'apply', checked ]) } },
		'nfa.api': { routes: () => Promise.resolve({ changes }), may_write: name => Promise.resolve(may && name === 'network') },
		'nfa.parts': {
			dialog: (title, content, buttons) => {
				dialogs.push({ text: E('div', {}, content).textContent, write: buttons[0] });
				return { close: () => null };
			}
		}
	});
	return { routes, done, dialogs };
}

test('it is shown as the file has it', () => {
	assert.equal(made().routes.text(CHANGES), `# /etc/config/network
config interface 'old'
	# deleted: option ip6table

# deleted: config rule 'nfa_old'

config interface 'wan2'
	option ip4table '7701'
	option ip6table '7701'

config rule 'nfa_wan2'
	option mark '0x4000/0xc000'

config rule6 'nfa_wan2_6'
	option lookup '7701'`);
});

test('it is written as it was shown, and no section is made that is there', async () => {
	const { routes, done } = made({ there: [ 'wan2', 'nfa_wan2_6', 'old', 'nfa_old' ] });
	await routes.stage(CHANGES);
	assert.deepEqual(done, [
		[ 'load', 'network' ], [ 'unset', 'network', 'old', 'ip6table' ], [ 'remove', 'network', 'nfa_old' ],
		[ 'set', 'network', 'wan2', 'ip4table', '7701' ], [ 'set', 'network', 'wan2', 'ip6table', '7701' ],
		[ 'add', 'network', 'rule', 'nfa_wan2' ], [ 'set', 'network', 'nfa_wan2', 'mark', '0x4000/0xc000' ],
		[ 'set', 'network', 'nfa_wan2_6', 'lookup', '7701' ], [ 'save' ]
	]);
	const again = made({ there: [ 'nfa_wan2' ] });
	await again.routes.stage(CHANGES.slice(4, 6));
	assert.deepEqual(again.done.map(([ what ]) => what), [ 'load', 'set', 'save' ], 'it waits to be applied already');
});

test('a person sees it, and what else waits, before it is applied', async () => {
	const { routes, done, dialogs } = made({ waiting: { other: [ [ 'set' ], [ 'set' ] ] } });
	await routes.open();
	assert.match(dialogs[0].text, /config rule 'nfa_wan2'/);
	assert.match(dialogs[0].text, /2 changes are waiting/);
	assert.deepEqual(done, []);
	await dialogs[0].write.attributes.click();
	assert.deepEqual(done.slice(-2), [ [ 'save' ], [ 'apply', true ] ]);
});

test('who may not change the network is told so', async () => {
	const { routes, dialogs } = made({ may: false });
	await routes.open();
	assert.equal(dialogs[0].write.disabled, true);
	assert.match(dialogs[0].text, /config rule 'nfa_wan2'.*may not change networks/s);
});

test('where nothing is missing there is nothing to write', async () => {
	const { routes, dialogs } = made({ changes: [] });
	await routes.open();
	assert.equal(dialogs[0].write.disabled, true);
	assert.match(dialogs[0].text, /Nothing is missing/);
});

test('nothing else of the network is written, whatever the daemon says', async () => {
	for (const strange of [
		change('lan', 'interface', 'ipaddr', '10.0.0.1'), change('lan', 'interface', '', null), change('mine', 'rule', 'lookup', '1'),
		change('nfa_x', 'interface', 'proto', 'ppp'), change('nfa_x', 'device', 'name', 'eth0'), change("nfa_x'", 'rule', 'mark', '1')
	]) {
		const { routes, done } = made({ changes: [ ...CHANGES, strange ] });
		assert.throws(() => routes.text([ ...CHANGES, strange ]), /nothing that another WAN needs/);
		await assert.rejects(routes.stage([ ...CHANGES, strange ]), /nothing that another WAN needs/);
		await assert.rejects(routes.open(), /nothing that another WAN needs/);
		assert.deepEqual(done.filter(([ what ]) => what !== 'load'), []);
	}
});
