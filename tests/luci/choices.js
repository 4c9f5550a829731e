'use strict';

/* Print as JSON the configuration that the dialog of a rule writes: one rule for each kind of what to do, with new hours, a budget and exceptions. */

const { load } = require('./loader.js');

const doing = load('nfa.doing');
const criteria = load('nfa.criteria');

const CHOICES = [ { kind: 'block' }, { kind: 'slow', rate: '2mbit', each: true }, { kind: 'first' }, { kind: 'last' }, { kind: 'wan', network: 'wan2' }, { kind: 'note' } ];
const said = given => criteria.build({ ...criteria.empty(), ...given });
const lines = (type, name, options) => [ `config ${type} '${name}'`, ...Object.entries(options).flatMap(([ option, value ]) =>
	[].concat(value).map(one => `\t${Array.isArray(value) ? 'list' : 'option'} ${option} "${one}"`)), '' ];

const there = [], text = [];
const add = (type, name, options) => {
	there.push({ '.type': type, '.name': name, ...options });
	text.push(...lines(type, name, options));
};

for (const [ number, choice ] of [ ...CHOICES, ...CHOICES ].entries()) {
	const rule = `rule_${number}`, plan = doing.plan(choice, rule, [], there);
	if (plan.options)
		add('target', plan.name, plan.options);
	add('time_of_day', `${rule}_hours`, { day: [ 'mon', 'tue' ], time_start: '21:00', time_end: '06:30' });
	add('budget', `${rule}_budget`, { time: '1h30m', bytes: '2GB' });
	add('action', rule, {
		criteria: [ said({ categories: [ 'streaming-media' ], devices: [ '02:00:5E:10:01:14' ] }) ], target: [ plan.name ], time_of_day: [ `${rule}_hours` ],
		budget: `${rule}_budget`, exemption: [ said({ apps: [ 'netify.netflix' ] }), said({ protocols: [ 'dns' ] }), said({ categories: [ 'games' ] }), '192.168.1.21' ]
	});
}
console.log(JSON.stringify({ config: text.join('\n'), targets: there.filter(one => one['.type'] === 'target').map(one => one['.name']) }));
