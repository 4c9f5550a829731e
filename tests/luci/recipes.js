'use strict';

/* Print what each recipe writes with plain answers, as JSON: the configuration, and the commands for the firewall. */

const { load } = require('./loader.js');

const cookbook = load('nfa.cookbook');
const GIVEN = {
	apps: [ 'netify.youtube', 'netify.netflix' ], devices: [ '02:00:5E:10:01:14', '192.168.1.21' ], categories: [ 'voip' ], protocols: [ 'sip' ],
	gateway: '198.51.100.1'
};

console.log(JSON.stringify(cookbook.recipes().map(recipe => {
	const answers = Object.fromEntries(recipe.questions.map(({ name, preset }) => [ name, GIVEN[name] ?? preset ]));
	const made = cookbook.cook(recipe, answers, [], []);
	return { name: made.name, problems: cookbook.problems(recipe, answers), config: cookbook.text(made), script: made.script };
})));
