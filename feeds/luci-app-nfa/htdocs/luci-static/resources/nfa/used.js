'use strict';
'require baseclass';

/*
 * Who used what, as pages show it. In: answers of the method usage (docs/usage.md). Out: plain data with bytes, bytes in a second
 * and minutes, the most first; no page is touched here.
 */

const key_of = device => device.mac || device.device;
const sum = (items, name) => items.reduce((total, item) => total + (item[name] ?? 0), 0);
const most_first = (one, other) => other.down + other.up - one.down - one.up;

/* The bytes of an answer: "DEVICE\nAPPLICATION" to { down, up }. */
function bytes_of(answer) {
	return new Map(answer.devices.flatMap(device => device.applications.map(({ application, down, up }) =>
		[ `${key_of(device)}\n${application}`, { down, up } ])));
}

return baseclass.extend({
	key: key_of,

	/* Each device that used something: { key, device, mac, down, up, applications }. */
	by_device: answer => answer.devices.map(device => ({
		key: key_of(device), device: device.device, mac: device.mac, down: sum(device.applications, 'down'), up: sum(device.applications, 'up'),
		applications: [ ...device.applications ].sort(most_first)
	})).filter(({ down, up }) => down + up > 0).sort(most_first),

	/* Each application: { application, down, up, minutes, devices }; `minutes`: of all devices together, each with its own. */
	by_application: answer => {
		const found = new Map();
		for (const device of answer.devices)
			for (const { application, down, up, minutes } of device.applications) {
				const one = found.get(application) ?? { application, down: 0, up: 0, minutes: 0, devices: [] };
				found.set(application, one);
				one.down += down;
				one.up += up;
				one.minutes += minutes;
				one.devices.push({ key: key_of(device), device: device.device, mac: device.mac, down, up, minutes });
			}
		return [ ...found.values() ].filter(({ down, up }) => down + up > 0).map(one => ({ ...one, devices: one.devices.sort(most_first) })).sort(most_first);
	},

	/*
	 * Who does what now: the difference of two answers about the running hour, in bytes a second: { seconds, devices }, each with key,
	 * device, mac, down, up, applications. Another hour counts from nothing. Null where the two tell nothing.
	 */
	now: (before, after) => {
		const seconds = before && after ? after.until - before.until : 0;
		if (!(seconds > 0))
			return null;
		const past = before.since === after.since ? bytes_of(before) : new Map();
		const devices = after.devices.map(device => {
			const applications = device.applications.map(({ application, down, up }) => {
				const had = past.get(`${key_of(device)}\n${application}`) ?? { down: 0, up: 0 };
				return { application, down: Math.max(0, down - had.down) / seconds, up: Math.max(0, up - had.up) / seconds };
			}).filter(({ down, up }) => down + up > 0).sort(most_first);
			return { key: key_of(device), device: device.device, mac: device.mac, down: sum(applications, 'down'), up: sum(applications, 'up'), applications };
		});
		return { seconds, devices: devices.filter(({ down, up }) => down + up > 0).sort(most_first) };
	},

	/* The actions whose flows were blocked, the most first: { action, blocked_packets }. */
	blocked: answer => answer.actions.filter(({ blocked_packets }) => blocked_packets > 0).sort((one, other) => other.blocked_packets - one.blocked_packets),

	/*
	 * Names of the actions that are about a device: those whose criteria name it. `sections`: of the configuration, as LuCI has them;
	 * `addresses`: of the device (MAC, IPv4, IPv6). A device of the configuration and its groups are names of it, too.
	 */
	concerning: (sections, addresses) => {
		const list = value => (value == null ? [] : Array.isArray(value) ? value : [ value ]).flatMap(text => text.split(/\s+/));
		const of = type => sections.filter(section => section['.type'] === type);
		const own = new Set(addresses.map(address => address.toLowerCase()));
		const devices = of('device').filter(one => [ one.mac, one.macs, one.ip, one.ips ].flatMap(list).some(address => own.has(address.toLowerCase())))
			.map(one => one['.name']);
		const groups = of('group').filter(one => [ one.device, one.devices ].flatMap(list).some(name => devices.includes(name))).map(one => one['.name']);
		const names = [ ...own, ...[ ...devices, ...groups ].map(name => `@${name.toLowerCase()}`) ];
		return of('action').filter(action => {
			const text = [ action.criteria ].flat().join(' ').toLowerCase();
			return text.split(/[^0-9a-z_@.:-]+/).some(word => names.includes(word.replace(/[.:]+$/, '')));
		}).map(action => action['.name']);
	}
});
