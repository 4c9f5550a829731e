#!/usr/bin/ucode
// Stub ubus objects for a LuCI outside a router.
//   ucode stubs.uc EVENTS_FILE FILE.json...
// FILE.json: { "object": { "method": { "args": { "name": "" }, "reply": { } } } }
// A reply that is a string "@file:/path" is read from that JSON file at each call;
// "error": N gives ubus status N instead. Later files win, per method.
'use strict';
import { connect } from 'ubus';
import { readfile, open } from 'fs';
import * as uloop from 'uloop';

uloop.init();
const conn = connect();
const events = open(shift(ARGV), 'a');
let objects = {};

for (let path in ARGV)
	for (let object, methods in json(readfile(path)))
		for (let name, spec in methods) {
			objects[object] ??= {};
			objects[object][name] = spec;
		}

// (a function: closures in an ucode for loop all see its last value)
function method(object, name, spec) {
	return {
		// uhttpd adds ubus_rpc_session to each call, and unknown arguments are refused
		args: { ...(spec.args ?? {}), ubus_rpc_session: '' },
		call: function(req) {
			let reply = spec.reply ?? {};
			events.write(sprintf('%J\n', { call: object + '.' + name, args: req.args }));
			events.flush();
			if (spec.error)
				return req.reply(null, spec.error);
			if (type(reply) == 'string' && substr(reply, 0, 6) == '@file:')
				reply = json(readfile(substr(reply, 6)));
			return reply;
		}
	};
}

let published = [];
for (let object, methods in objects) {
	let impl = {};
	for (let name, spec in methods)
		impl[name] = method(object, name, spec);
	push(published, conn.publish(object, impl) ?? die(`publish ${object}: ${conn.error()}`));
}

const listener = conn.listener('*', (ev, msg) => {
	if (index(ev, 'ubus.') == 0)
		return;
	events.write(sprintf('%J\n', { event: ev, data: msg }));
	events.flush();
});

// procd tells its subscribers of config.change, instance.start and the like
const subscriber = conn.subscriber((msg) => {
	events.write(sprintf('%J\n', { event: msg.type, data: msg.data }));
	events.flush();
}, () => null);
subscriber.subscribe('service') ?? die(`subscribe service: ${conn.error()}`);

uloop.run();
