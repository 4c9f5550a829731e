'use strict';

/* Print what the forms write, section by section, as JSON: nfa.fields, with what its rules make of some values. */

const { load } = require('./loader.js');

const fields = load('nfa.fields');
const hours = load('nfa.hours');
const plain = list => list.map(field => ({ name: field.name, other: field.other, preset: field.preset ?? '', required: field.required === true, kind: field.kind,
	choices: (field.choices ?? []).map(([ value ]) => value) }));
const each = table => Object.fromEntries(Object.entries(table).map(([ name, list ]) => [ name, plain(list) ]));
const values = JSON.parse(process.argv[2] ?? '[]');
const rules = list => list.flatMap(field => field.rule ? values.filter(value => field.rule(value) === '').map(value => [ field.name, value ]) : []);

console.log(JSON.stringify({
	main: plain(fields.main()), action: plain(fields.action()), budget: plain(fields.budget()), exemption: plain(fields.exemption()), time_of_day: plain(fields.time_of_day()),
	common: plain(fields.common()), targets: each(fields.targets()), target_global: each(fields.target_global()),
	sink: plain(fields.sink()), channel: plain(fields.channel()), channels: each(fields.channels()),
	types: fields.types().map(([ name ]) => name), kinds: fields.kinds().map(([ name ]) => name),
	times: values.map(value => [ hours.seconds(value, hours.DAY - 1), hours.seconds(value, hours.DAY) ]),
	days: values.map(value => hours.days(value)),
	taken: {
		main: rules(fields.main()), common: rules(fields.common()), action: rules(fields.action()), budget: rules(fields.budget()),
		...Object.fromEntries(Object.entries(fields.targets()).map(([ name, list ]) => [ `target ${name}`, rules(list) ])),
		...Object.fromEntries(Object.entries(fields.channels()).map(([ name, list ]) => [ `channel ${name}`, rules(list) ]))
	}
}));
