'use strict';

/* Print what each recipe writes with plain answers, as JSON. */

const { load } = require('./loader.js');

const cookbook = load('nfa.cookbook');
const GIVEN = {
	apps: [ 'netify.youtube', 'netify.netflix' ], devices: [ 'C4:2C:03:06:49:FE', '192.168.1.21' ], categories: [ 'voip' ], protocols: [ 'sip' ]
};

const taken = [];
const known = [];
const exempt = [];

/* Each recipe twice, as when a person uses it for two things: each policy knows the names, devices and exemptions of those before it. */
console.log(JSON.stringify(cookbook.recipes().flatMap(recipe => {
	const answers = Object.fromEntries(recipe.questions.map(({ name, preset }) => [ name, GIVEN[name] ?? preset ]));
	return [ 1, 2 ].map(() => {
		const problems = cookbook.problems(recipe, answers);
		const made = cookbook.cook(recipe, answers, taken, exempt, known);
		taken.push(...made.sections.map(section => section.name));
		known.push(...made.sections.filter(({ type }) => type === 'device').map(({ name, options }) => ({ name, addresses: [ ...options.mac ?? [], ...options.ip ?? [] ] })));
		exempt.push(...made.exempt);
		return { name: made.name, problems, config: cookbook.text(made), targets: cookbook.targets([], made) };
	});
})));
