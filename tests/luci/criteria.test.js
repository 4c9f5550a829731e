'use strict';

/* Choices to an expression and back. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const criteria = load('nfa.criteria');
const choices = given => ({ ...criteria.empty(), ...given });
const found = text => criteria.parse(text);

const EVERYTHING = choices({
	apps: [ 'netify.youtube', '133' ], protocols: [ 'http/s' ], categories: [ 'games' ],
	devices: [ 'AA:BB:CC:00:11:22', '192.168.1.7', 'fe80::1' ], networks: [ '192.168.2.0/24', '2001:db8::/32', '@kids' ],
	remotes: [ '203.0.113.7' ], ports: [ '443', '6881-6889' ]
});

test('questions are joined with &&, their answers with ||, and nothing is left to precedence', () => {
	assert.equal(criteria.build(choices({ apps: [ 'youtube' ] })), "app == 'youtube';");
	assert.equal(criteria.build(choices({ apps: [ 'youtube' ], categories: [ 'games' ] })), "app == 'youtube' || category == 'games';");
	assert.equal(criteria.build(choices({ apps: [ 'a', 'b' ], devices: [ 'aa-bb-cc-00-11-22' ] })),
		"(app == 'a' || app == 'b') && mac == AA:BB:CC:00:11:22;");
	assert.equal(criteria.build(choices({ ports: [ '6881-6889', '80' ], remotes: [ '10.0.0.0/8' ] })),
		'other_ip == 10.0.0.0/8 && ((other_port >= 6881 && other_port <= 6889) || other_port == 80);');
	assert.equal(criteria.build(criteria.empty()), '*');
});

test('what is built is read back', () => {
	for (const given of [ criteria.empty(), EVERYTHING ])
		assert.ok(criteria.same(found(criteria.build(given)), given), criteria.build(given));
	for (const kind of criteria.KINDS) {
		const given = choices({ [kind]: EVERYTHING[kind] });
		assert.ok(criteria.same(found([ criteria.build(given) ]), given), kind);
		for (const value of EVERYTHING[kind])
			assert.deepEqual(found(criteria.build(choices({ [kind]: [ value ] }))), choices({ [kind]: [ value ] }));
	}
});

test('what other people write is read, where choices can say it', () => {
	assert.deepEqual(found("application=='YouTube'"), choices({ apps: [ 'youtube' ] }));
	assert.deepEqual(found('ai:youtube'), choices({ apps: [ 'youtube' ] }));
	assert.deepEqual(found([ "app == 'a';", "category == 'games'; app == 'b';" ]), choices({ apps: [ 'a', 'b' ], categories: [ 'games' ] }));
	assert.deepEqual(found("app == 'a' and (mac == aa:bb:cc:00:11:22 OR local_ip == 10.0.0.0/8);"),
		choices({ apps: [ 'a' ], devices: [ 'AA:BB:CC:00:11:22' ], networks: [ '10.0.0.0/8' ] }));
	assert.deepEqual(found("app == 'a' && other_port >= 1 && other_port <= 9;"), choices({ apps: [ 'a' ], ports: [ '1-9' ] }));
	assert.deepEqual(found("((app == 'a' || (app == 'b' || app == 'a')));"), choices({ apps: [ 'a', 'b' ] }));
	assert.deepEqual(found('*'), criteria.empty());
});

test('what choices cannot say is left to the expression', () => {
	for (const text of [
		"app != 'a';", "!app == 'a';", 'app;', "app == 'rx:a';", "app == 'a' && app == 'b';", "app == 'a' || mac == aa:bb:cc:00:11:22;",
		"app == 'a' || app == 'b' && ip == 10.0.0.1;", "detected_hostname == 'a';", 'local_mac == aa:bb:cc:00:11:22;', 'ip == 10.0.0.0/8;',
		'ip == @kids;', 'port == 443;', 'other_port >= 5;', 'other_port >= 5 && other_port <= 1;', 'other_port == 70000;', 'ac:games',
		"app == '133';", 'app == "a";', "app == 'a", '(app', '/etc/x.txt', '${path_state_persistent}/x', '', 'other_port == 1-2;',
		"app == 'a' && 'b';", "app == 'a';;", "proto == 'x' extra;"
	])
		assert.equal(found(text), null, text);
	assert.equal(found([]), null);
	assert.equal(found([ "app == 'a';", 'ip == 10.0.0.1;' ]), null);
	assert.equal(found([ "app == 'a';", '*' ]), null);
	assert.equal(found([ "app == 'a' && ip == 10.0.0.1;", "app == 'b' && ip == 10.0.0.1;" ]), null);
});

test('texts that nobody meant leave the page open', () => {
	for (const text of [ 'constructor == 1.2.3.4;', '__proto__ == 1;', 'toString == 1;', '('.repeat(9000), "app == 'RX:foo';", "app\u00a0== 'a';" ])
		assert.equal(found(text), null, text.slice(0, 40));
	assert.equal(criteria.usable('apps', 'RX:foo'), false);
});

test('nobody can write more than a value with a name', () => {
	for (const bad of [ "x'; app == 'y", 'rx:.*', 'a\nb', '', ' a' + '\u0000' ])
		assert.throws(() => criteria.build(choices({ apps: [ bad ] })), Error, JSON.stringify(bad));
	for (const [ kind, bad ] of [ [ 'devices', '10.0.0.0/8' ], [ 'devices', '1 || app' ], [ 'networks', '10.0.0.0/33' ], [ 'networks', 'x' ],
		[ 'remotes', '300.1.1.1' ], [ 'ports', '9-1' ], [ 'ports', '65536' ], [ 'ports', '1;2' ], [ 'networks', '@a b' ] ])
		assert.throws(() => criteria.build(choices({ [kind]: [ bad ] })), Error, `${kind} ${bad}`);
});

test('entries are edited as lines', () => {
	assert.deepEqual(criteria.entries("app == 'a' ||\n  app == 'b';\nai:x\n\n/etc/list.txt\n*\nport == 1"),
		[ "app == 'a' || app == 'b';", 'ai:x', '/etc/list.txt', '*', 'port == 1' ]);
	assert.deepEqual(criteria.entries("detected_hostname == 'rx:a;b' ||\nport == 1;"), [ "detected_hostname == 'rx:a;b' || port == 1;" ]);
	assert.deepEqual(criteria.entries(criteria.text([ "app ==\n 'a';", '*' ])), [ "app == 'a';", '*' ]);
	assert.deepEqual(criteria.entries(criteria.text([ "app == 'a' && ip != 1.2.3.4", "url == 'x'", '!app', '*', 'ai:x' ])),
		[ "app == 'a' && ip != 1.2.3.4;", "url == 'x';", '!app;', '*', 'ai:x' ], 'entries stay apart, also without their ends');
	assert.deepEqual(criteria.entries(' \n '), []);
});
