'use strict';

/* What the page Matches makes of flows: names for people, and expressions that no name can break out of. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const flow = load('nfa.flow');
const HOSTS = { '02:00:5E:10:01:14': 'tablet', '192.168.1.21': 'laptop', '2001:db8::15': 'laptop' };
const FILM = {
	local_ip: '192.168.1.20', local_mac: '02:00:5e:10:01:14', local_port: 50000, other_ip: '203.0.113.10', other_port: 443,
	detected_application_name: 'netify.youtube', detected_protocol_name: 'HTTP/S', host_server_name: 'video.example'
};
const expressions = found => flow.choices(found, HOSTS).map(choice => choice.expression);

test('the choices go from this device and application to the other end', () => {
	assert.deepEqual(expressions(FILM), [
		'app == \'netify.youtube\' && mac == 02:00:5E:10:01:14;', 'mac == 02:00:5E:10:01:14;', 'app == \'netify.youtube\';',
		'detected_hostname == \'video.example\';', 'other_ip == 203.0.113.10;'
	]);
	assert.equal(flow.choices(FILM, HOSTS)[0].title, 'YouTube on the device tablet');
});

test('without an application the protocol is meant, without a MAC address the IP address', () => {
	const unknown = { ...FILM, detected_application_name: 'Unknown', local_mac: '00:00:00:00:00:00', host_server_name: undefined };
	assert.deepEqual(expressions(unknown), [
		'protocol == \'HTTP/S\' && ip == 192.168.1.20;', 'ip == 192.168.1.20;', 'protocol == \'HTTP/S\';', 'other_ip == 203.0.113.10;'
	]);
});

test('a flow of which nothing is known gives no choice that would mean all flows', () => {
	assert.deepEqual(expressions({ digest: 'd' }), []);
	assert.deepEqual(expressions({ local_ip: '1.2.3.4 || *', local_mac: 'x; *', other_ip: '::1;*' }), []);
});

test('the number before an application of netifyd 3 is not part of its name', () => {
	assert.equal(flow.application({ detected_application_name: '124.netify.youtube' }), 'netify.youtube');
});

test('no name ends its quotes, and none becomes a pattern', () => {
	assert.equal(flow.quoted('video.example'), '\'video.example\'');
	assert.equal(flow.quoted('it\'s.example'), '\'rx:^it\\x27s\\.example$\'');
	assert.equal(flow.quoted('\'; app == \'x'), '\'rx:^\\x27; app == \\x27x$\'');
	assert.equal(flow.quoted('rx:.*'), '\'rx:^rx:\\.\\*$\'');
	assert.equal(flow.quoted('a\nb'), '\'rx:^a\\x0ab$\'');
	assert.equal(flow.quoted(' '), '\'rx:^ $\'');
});

test('a name that the daemon has cut is asked for by its beginning', () => {
	assert.equal(flow.quoted('a'.repeat(256)), `'rx:^${'a'.repeat(256)}'`);
});

test('devices are known in elements of all kinds of sets', () => {
	assert.deepEqual(flow.devices('192.168.1.21 . tcp . 443 . 203.0.113.10', HOSTS), [ 'laptop' ]);
	assert.deepEqual(flow.devices('192.168.1.21,tcp:443,203.0.113.10', HOSTS), [ 'laptop' ]);
	assert.deepEqual(flow.devices('02:00:5e:10:01:14', HOSTS), [ 'tablet' ]);
	assert.deepEqual(flow.devices('tcp 192.168.1.21:50000 > 203.0.113.10:443 mark 0x2/0xff', HOSTS), [ 'laptop' ]);
	assert.deepEqual(flow.devices('tcp [2001:db8::15]:50000 > [2001:db8::1]:443 label x', HOSTS), [ 'laptop' ]);
	assert.deepEqual(flow.devices('203.0.113.10', HOSTS), []);
	assert.deepEqual(flow.devices('203.0.113.10', {}), []);
});

test('a new policy has a name that UCI takes, and that is free', () => {
	assert.equal(flow.policy_name(FILM, []), 'youtube');
	assert.equal(flow.policy_name(FILM, [ 'youtube', 'youtube_2' ]), 'youtube_3');
	assert.equal(flow.policy_name({ detected_application_name: '<img src=x>' }, []), 'img_src_x');
	assert.equal(flow.policy_name({ detected_application_name: '\u00fc' }, []), 'policy');
});

test('a name of an application that an expression cannot have is not offered', () => {
	for (const name of [ "a'b", 'rx:.*', ' a', 'a\nb', 'x'.repeat(256), '124' ])
		assert.deepEqual(expressions({ ...FILM, detected_application_name: name }).filter(text => text.includes('app ==')), [], name);
});

test('no name of a policy is that of something that every object has', () => {
	assert.equal(flow.policy_name({ ...FILM, detected_application_name: 'constructor' }, []), 'constructor_2');
});
