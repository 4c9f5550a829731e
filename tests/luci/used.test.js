'use strict';

/* What was used, by device and application, and who does what now. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load } = require('./loader.js');

const used = load('nfa.used');

const app = (application, down, up, minutes) => ({ application, category: '', down, up, minutes: minutes ?? 0, connections: 1, blocked_packets: 0 });
const device = (name, mac, ...applications) => ({ device: name, mac, applications });

test('devices and applications come the most used first, those without a byte not at all', () => {
	const answer = { devices: [
		device('phone', '02:00:00:00:00:01', app('DNS', 10, 5)), device('idle', '02:00:00:00:00:09', app('DNS', 0, 0)),
		device('tablet', '02:00:00:00:00:02', app('netify.tiktok', 100, 10, 7), app('netify.youtube', 5000, 100, 54)),
		device('10.8.0.2', '', app('netify.youtube', 300, 30, 3))
	] };
	assert.deepEqual(used.by_device(answer).map(({ key, down, up, applications }) => [ key, down, up, applications[0].application ]), [
		[ '02:00:00:00:00:02', 5100, 110, 'netify.youtube' ], [ '10.8.0.2', 300, 30, 'netify.youtube' ], [ '02:00:00:00:00:01', 10, 5, 'DNS' ]
	]);
	assert.deepEqual(used.by_application(answer).map(({ application, down, minutes, devices }) => [ application, down, minutes, devices.map(one => one.device) ]), [
		[ 'netify.youtube', 5300, 57, [ 'tablet', '10.8.0.2' ] ], [ 'netify.tiktok', 100, 7, [ 'tablet' ] ], [ 'DNS', 10, 0, [ 'phone', 'idle' ] ]
	]);
});

test('now is the difference of two answers, in bytes a second of the time between them', () => {
	const before = { since: 3600, until: 4000, devices: [ device('tablet', 'M', app('netify.youtube', 1000, 100), app('DNS', 50, 50)), device('phone', 'P', app('DNS', 7, 7)) ] };
	const after = { since: 3600, until: 4015, devices: [
		device('tablet', 'M', app('netify.youtube', 1150, 130), app('DNS', 50, 50), app('netify.reddit', 15000, 0)), device('phone', 'P', app('DNS', 7, 7))
	] };
	const now = used.now(before, after);
	assert.equal(now.seconds, 15);
	assert.deepEqual(now.devices.map(one => [ one.device, one.down, one.up, one.applications.map(({ application }) => application) ]),
		[ [ 'tablet', 1010, 2, [ 'netify.reddit', 'netify.youtube' ] ] ], 'who has no more than before does nothing');
});

test('a new hour counts from nothing, and what tells nothing is told to nobody', () => {
	const before = { since: 0, until: 3590, devices: [ device('tablet', 'M', app('DNS', 9000, 9000)) ] };
	const after = { since: 3600, until: 3605, devices: [ device('tablet', 'M', app('DNS', 150, 30)) ] };
	assert.deepEqual(used.now(before, after).devices.map(({ down, up }) => [ down, up ]), [ [ 10, 2 ] ]);
	assert.equal(used.now(null, after), null);
	assert.equal(used.now(after, after), null, 'no time has passed');
	assert.equal(used.now(after, before), null, 'a clock that was put back');
	const forgotten = { ...after, until: 3620, devices: [ device('tablet', 'M', app('DNS', 0, 0)) ] };
	assert.deepEqual(used.now(after, forgotten).devices, [], 'nothing less than nothing');
});

test('only what was blocked is said to be', () => {
	const actions = [ { action: 'calls', blocked_packets: 0 }, { action: 'games', blocked_packets: 3 }, { action: 'night', blocked_packets: 40 } ];
	assert.deepEqual(used.blocked({ actions }).map(({ action }) => action), [ 'night', 'games' ]);
});

test('the rules about a device are those that name one of its addresses, it, or a group of it', () => {
	const section = (type, name, options) => ({ '.type': type, '.name': name, ...options });
	const sections = [
		section('device', 'tablet', { mac: [ '02:00:5E:10:01:14', '02:00:5E:10:01:15' ] }), section('device', 'tab', { mac: '02:00:5E:10:01:99' }),
		section('group', 'kids', { device: [ 'tablet' ] }), section('group', 'others', { device: [ 'tab' ] }),
		section('action', 'by_mac', { criteria: [ "app == 'x' && mac == 02:00:5e:10:01:14;" ] }),
		section('action', 'by_ip', { criteria: "local_ip == 192.168.1.20;" }), section('action', 'by_ip_longer', { criteria: "local_ip == 192.168.1.200;" }),
		section('action', 'by_name', { criteria: [ "app == 'y'; local_ip == @tablet;" ] }), section('action', 'by_group', { criteria: [ '(local_ip == @kids);' ] }),
		section('action', 'of_another', { criteria: [ 'local_ip == @tab;', 'local_ip == @others;' ] }), section('action', 'of_all', { criteria: [ "app == 'z';" ] }),
		section('action', 'empty', {})
	];
	assert.deepEqual(used.concerning(sections, [ '02:00:5E:10:01:14', '192.168.1.20' ]), [ 'by_mac', 'by_ip', 'by_name', 'by_group' ]);
	assert.deepEqual(used.concerning(sections, [ '02:00:5e:10:01:15' ]), [ 'by_name', 'by_group' ], 'another address of the same');
	assert.deepEqual(used.concerning(sections, [ 'router' ]), []);
});
