'use strict';

/* The page Home: what it shows, and what it asks for. */

const assert = require('node:assert/strict');
const test = require('node:test');

const { load, L } = require('./loader.js');

const MAC = '02:00:5e:10:01:14';
const app = (application, down, up, minutes) => ({ application, category: '', down, up, minutes: minutes ?? 0, connections: 1, blocked_packets: 0 });
const device = (number, ...applications) => ({ device: `device-${number}`, mac: `${MAC.slice(0, -2)}${String(number).padStart(2, '0')}`, applications });

const STATUS = {
	uptime: 500, time: 1800000000, source: { connected: true, kinds: { flow: 5 }, bad: {} }, policy: { generation: 1, failed_at: null, errors: 0, warnings: 0, reports: [] },
	flows: { dropped: 0, max: 5 }, loop: { longest_ms: 5 }, targets: {}, actions: { games: { enabled: true, active: true } }, actions_left_out: 0, paused: [],
	usage: { on: true }, budgets: { names: [] }, health: { problems: [] }
};

/* A page: { node, calls (each [ method, arguments ]), view, visible(text) }. `given`: status, usage(arguments), service, sections, hash. */
async function home(given) {
	const calls = [];
	const answers = {
		status: () => given.status === undefined ? STATUS : given.status, usage: given.usage ?? (() => ({ since: 0, until: 1, devices: [], actions: [], periods: [], more: false })),
		budget: () => ({ names: [], budgets: given.budgets ?? [], total: 0, more: false }), list: () => given.service ?? { nfa: { instances: { instance1: { running: true } } } },
		getHostHints: () => ({})
	};
	const hash = { hash: given.hash ?? '' };
	const view = load('view.nfa.home', {
		rpc: { declare: ({ object, method }) => (...values) => {
			calls.push([ method, values ]);
			const answer = answers[method]?.(...values) ?? (method === 'status' ? null : {});
			return answer == null ? Promise.reject(new Error('error -32000: Object not found')) : Promise.resolve(answer);
		}, getStatusText: String },
		uci: {
			load: () => Promise.resolve(), get: (name, section, option) => option ? (given.main ?? {})[option] : (given.sections ?? []).find(one => one['.name'] === section),
			sections: (name, type) => (given.sections ?? []).filter(one => one['.type'] === type)
		},
		globals: { window: { addEventListener: () => null }, location: hash, setTimeout: () => null }
	});
	const node = view.render(await view.load());
	await new Promise(resolve => setImmediate(resolve));
	const hidden = one => one != null && (one.style.display === 'none' || hidden(one.parentNode));
	const all = name => node.all(name).filter(one => !hidden(one));
	return { node, calls, view, hash, all, texts: name => all(name).map(one => one.textContent), asked: method => calls.filter(([ name ]) => name === method) };
}

const EXAMPLES = [ { '.type': 'action', '.name': 'no_youtube', enabled: '0' } ];
const OFF = { status: null, service: {}, main: { enabled: '0' } };

test('a router on which nothing is set up has a card to switch it on, three to begin with, and no dead button', async () => {
	const page = await home({ ...OFF, sections: EXAMPLES });
	assert.match(page.texts('strong')[0], /^Switched off/);
	assert.deepEqual(page.texts('h4'), [ 'Switch on', 'Block an application', 'An hour a day', 'Put calls first' ]);
	assert.deepEqual(page.texts('button'), [ 'Switch on' ]);
	assert.deepEqual(page.all('a').map(one => one.getAttribute('href').split('/').pop()), [ 'recipes#recipe=bedtime', 'recipes#recipe=daily', 'recipes#recipe=calls', 'recipes' ]);
	assert.ok(!page.all('button').some(one => one.hasAttribute('disabled')));
	assert.doesNotMatch(page.node.textContent, /no_youtube/);
	const cookbook = load('nfa.cookbook').recipes().map(({ name }) => `recipes#recipe=${name}`);
	assert.ok(page.all('a').slice(0, 3).every(one => cookbook.includes(one.getAttribute('href').split('/').pop())), 'the recipes are there');
});

test('who has rules, and switched it off, has only to switch it on', async () => {
	const page = await home({ ...OFF, sections: [ { '.type': 'action', '.name': 'games' } ] });
	assert.deepEqual(page.texts('h4'), [ 'Switch on' ]);
});

test('a router that is on without a rule has the three cards, one with rules has none', async () => {
	const idle = { ...STATUS, actions: { a: { enabled: false, active: false } } };
	assert.deepEqual((await home({ status: idle })).texts('h4').slice(0, 3), [ 'Block an application', 'An hour a day', 'Put calls first' ]);
	const page = await home({});
	assert.deepEqual(page.texts('strong'), [ 'On, and it works: 1 rule is in use.' ]);
	assert.ok(!page.texts('h4').includes('Switch on') && !page.texts('h3').includes('Problems'));
});

test('who may look only can press nothing that changes something, and has no cards', async () => {
	L.hasViewPermission = () => false;
	try {
		const status = { ...STATUS, paused: [ { name: 'games', until: 1800000000 } ], budgets: { names: [ 'hour' ] } };
		const page = await home({ status });
		const changing = page.all('button').filter(one => /Resume|min|Switch|Count|Start/.test(one.textContent));
		assert.equal(changing.length, 1);
		assert.ok(changing.every(one => one.hasAttribute('disabled')));
		assert.ok(!(await home({ ...OFF })).texts('h4').includes('Switch on'));
	}
	finally {
		L.hasViewPermission = () => true;
	}
});

test('the busiest eight are shown, and how many more there are', async () => {
	const devices = Array.from({ length: 12 }, (none, number) => device(number + 10, app('netify.youtube', 1000 * (number + 1), 10, 3), app('DNS', 1, 1)));
	let until = 1000;
	const page = await home({ usage: (since, to, who, what, by, offset) => {
		const grown = devices.map((one, number) => ({ ...one, applications: one.applications.map(item => ({ ...item, down: item.down + (until - 1000) * 1000 * (number + 1) })) }));
		return by === 'action' ? { since: 0, until, actions: [ { action: 'games', blocked_packets: 7 }, { action: 'calls', blocked_packets: 0 } ], more: false }
			: { since: 0, until, devices: offset === 0 ? grown.slice(0, 8) : grown.slice(offset), total: 12, more: offset === 0 };
	} });
	until += 15;
	await page.view.refresh_now();
	const names = page.view.now.node.all('a').map(one => one.textContent);
	assert.equal(names.length, 8);
	assert.equal(names[0], 'device-21');
	assert.match(page.view.now.node.textContent, /and 4 more/);
	assert.match(page.view.now.node.textContent, /device-21192 kbit\/s down/);
	assert.match(page.view.now.node.textContent, /YouTube, DNS/);
	assert.deepEqual(page.view.blocked.node.all('span').filter(one => one.classes.includes('nfa-bar-text')).map(one => one.textContent), [ '7 packets' ]);
	const before = page.view.now.node.textContent;
	until += 4;
	await page.view.refresh_now();
	assert.equal(page.view.now.node.textContent, before, 'an answer that comes too early says nothing new');
	page.view.now.node.all('button')[0].attributes.click();
	assert.equal(page.view.now.node.all('a').length, 12);
});

test('a poll asks for what it shows, and for nothing that is not shown', async () => {
	const page = await home({});
	page.calls.length = 0;
	await page.view.refresh_now();
	assert.deepEqual(page.calls.map(([ method, [ since ] ]) => [ method, since ]), [ [ 'usage', 'now' ] ], 'no budget, no question for budgets');
	page.calls.length = 0;
	await page.view.refresh_state();
	assert.deepEqual(page.calls.map(([ method ]) => method), [ 'status', 'list' ]);
	const off = await home({ status: { ...STATUS, usage: { on: false } }, main: { usage: '0' } });
	assert.deepEqual([ off.asked('usage'), off.asked('budget') ], [ [], [] ]);
	assert.ok(off.texts('button').includes('Count usage'));
	assert.ok(!(await home({ status: { ...STATUS, usage: { on: false } } })).texts('button').includes('Count usage'), 'a daemon that cannot count has no button for it');
});

test('an endless answer is not asked for for ever', async () => {
	const page = await home({ usage: () => ({ since: 0, until: 1, devices: [ device(10, app('DNS', 1, 1)) ], actions: [], more: true }) });
	page.calls.length = 0;
	await page.view.refresh_now();
	assert.equal(page.asked('usage').length, 8);
});

test('a device has its own view, with the rules that name it', async () => {
	const sections = [
		{ '.type': 'device', '.name': 'tablet', mac: [ MAC ], title: 'The tablet' }, { '.type': 'action', '.name': 'games', criteria: [ 'local_ip == @tablet;' ] },
		{ '.type': 'action', '.name': 'calls', criteria: [ "app == 'x';" ] }
	];
	const one = { device: 'tablet', mac: MAC, applications: [ app('netify.youtube', 5e6, 1e5, 54) ] };
	const page = await home({ sections, hash: `#device=${encodeURIComponent(MAC)}`, usage: (since, until, who, what, by) =>
		by === 'hour' ? { since: 1800000000 - 7200, until: 1800003600, periods: [ { since: 1800000000, down: 5e6, up: 1e5 } ], more: false } : { since: 0, until: 1, devices: who === MAC ? [ one ] : [], more: false } });
	assert.ok(page.asked('usage').every(([ , [ , , who ] ]) => who === MAC), 'of no other device');
	assert.ok(page.texts('h3').includes('The tablet'));
	assert.deepEqual(page.all('li').map(item => item.textContent), [ 'games' ]);
	const text = page.texts('div').join(' ');
	assert.match(text, /YouTube/);
	assert.match(text, /54 min/);
	const hours = page.all('small');
	assert.deepEqual([ hours.length, hours[23].textContent ], [ 24, '23' ]);
	assert.match(page.texts('figcaption')[0], /^Most from 2 o'clock: 5 MB down/, 'by the clock of the router');
	page.calls.length = 0;
	await page.view.refresh_now();
	assert.deepEqual(page.calls, [], 'what is out of sight is not asked for');
	page.hash.hash = '#device=%E0%A4%A';
	await page.view.turn();
	assert.ok(page.texts('h3').includes('Now'), 'a broken address shows the house');
});

test('what is paused and what is left of budgets have a button each', async () => {
	const budgets = [
		{ budget: 'hour', device: 'tablet', mac: '', shared: false, left_seconds: 600, amount_seconds: 3600, bonus_seconds: 0, left_bytes: null, spent: false, percent: 83, exempt: false, until: 1800000000 },
		{ budget: 'data', device: '', mac: '', shared: true, left_seconds: null, left_bytes: 1e9, amount_bytes: 2e9, bonus_bytes: 0, spent: false, percent: 50, exempt: false, until: 1800000000 }
	];
	const page = await home({ status: { ...STATUS, paused: [ { name: 'games', until: 1800000000 } ], budgets: { names: [ 'hour', 'data' ] } }, budgets });
	await page.view.refresh_budgets();
	assert.deepEqual(page.texts('button').filter(text => /Resume|min/.test(text)), [ 'Resume', '+30 min' ], 'bytes are not given in minutes');
	const [ more ] = page.all('button').filter(one => one.textContent === '+30 min');
	page.calls.length = 0;
	await more.attributes.click();
	assert.deepEqual(page.calls[0], [ 'add_budget', [ 'hour', 'tablet', 1800, undefined ] ]);
});

test('of many budgets those come first of which least is left', async () => {
	const row = (number, percent) => ({
		budget: 'hour', device: `device-${number}`, mac: '', shared: false, left_seconds: 36 * (100 - percent), amount_seconds: 3600, bonus_seconds: 0, left_bytes: null,
		spent: percent >= 100, percent, exempt: false, until: 1800000000
	});
	const page = await home({ status: { ...STATUS, budgets: { names: [ 'hour' ] } }, budgets: [ ...Array.from({ length: 20 }, (none, number) => row(number, 0)), row(20, 90), row(21, 100) ] });
	await page.view.refresh_used();
	const lines = page.view.budgets.node.all('span').map(one => one.textContent);
	assert.equal(lines.length, 8);
	assert.match(lines[0], /^device-21 \(hour\): used up/);
	assert.match(lines[1], /^device-20 \(hour\): 6 min of/);
	assert.ok(page.texts('button').includes('and 14 more'));
});
