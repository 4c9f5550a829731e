/*
 * How the JavaScript of luci-app-nfa is checked: LuCI's own kind of rules, and those of this repository that keep names which
 * strangers chose from becoming HTML. Run from feeds/luci-app-nfa; what it imports is beside the eslint that runs.
 */

import { createRequire } from 'node:module';

const require = createRequire(process.argv[1]);
const js = require('@eslint/js');
const globals = require('globals');

/* LuCI's loader makes a name of each 'require ...' line: they are declared on the first line, so places stay right. */
const luci = {
	preprocess: text => {
		const names = [ ...text.matchAll(/^'require ([^ ']+)(?: as ([^ ']+))?';$/gm) ].map(([ , name, as ]) => as ?? name.replaceAll('.', '_'));
		return [ names.length ? `/* global ${names.join(', ')} */ ${text}` : text ];
	},
	postprocess: messages => messages.flat(),
	supportsAutofix: false
};

/* What is a list for certain: [ ... ], what makes lists of lists, and a choice of the two. */
const SURE = place => `:matches([${place}.type='ArrayExpression'], [${place}.callee.property.name=/^(map|concat|filter|flat|flatMap|slice)$/])`;
const CHOICE = place => `${SURE(`${place}.consequent`)}${SURE(`${place}.alternate`)}`;
const LISTED = place => `[${place}]:not(${SURE(place)}):not(${CHOICE(place)})`;
const A_LIST = 'text outside of a list is HTML in LuCI: give a list, [ text ]';

const HTML = [
	[ `CallExpression[callee.name='E']${LISTED('arguments.2')}`, A_LIST ],
	[ "CallExpression[callee.name='E'] > :matches(Literal, TemplateLiteral, BinaryExpression, CallExpression[callee.name='_'], CallExpression[callee.property.name='format']).arguments:nth-child(2)", A_LIST ],
	[ "CallExpression[callee.name='E'][arguments.0.type='Literal'][arguments.0.value!=/^[a-z][a-z0-9]*$/]", 'name one element, no markup' ],
	[ "CallExpression[callee.name='E'][arguments.0.type=/^(TemplateLiteral|BinaryExpression)$/]", 'name one element, no markup' ],
	[ `CallExpression[callee.object.name='dom'][callee.property.name=/^(content|append)$/]${LISTED('arguments.1')}`, A_LIST ],
	[ `CallExpression[callee.object.name='ui'][callee.property.name=/^(showModal|addNotification|addTimeLimitedNotification)$/]${LISTED('arguments.1')}`, A_LIST ],
	[ `CallExpression[callee.object.name='ui'][callee.property.name=/^(showModal|addNotification|addTimeLimitedNotification)$/][arguments.0]:not([arguments.0.type='ArrayExpression']):not([arguments.0.raw='null'])`, 'a title is HTML in LuCI: give a list, or null' ],
	[ 'MemberExpression[property.name=/^(innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|rawhtml)$/]', 'this makes HTML of text' ],
	[ "Property[key.name=/^(innerHTML|outerHTML|rawhtml)$/]", 'this makes HTML of text' ],
	[ "CallExpression[callee.object.name='document'][callee.property.name=/^write/]", 'this makes HTML of text' ],
	[ "CallExpression[callee.object.name='dom'][callee.property.name=/^(parse|create)$/]", 'use E() with a list' ],
	[ "NewExpression[callee.name='DOMParser']", 'this makes HTML of text' ],
	[ "CallExpression[callee.name='_'] > :not(Literal):first-child.arguments", 'a text to translate is one literal; values come by .format()' ],
	[ "BinaryExpression[operator='+'] > CallExpression[callee.name='_']", 'a sentence is one text; values come by .format()' ]
];

const rule = ([ selector, message ]) => ({ selector, message });
const RPC = [
	[ "MemberExpression[object.name='rpc'][property.name='declare']", 'calls are declared in resources/nfa/api.js' ],
	[ "CallExpression[callee.object.name='fs']", 'files are asked for in resources/nfa/api.js' ]
];

export default [
	{
		files: [ '**/*.js' ],
		plugins: { luci: { processors: { luci } } },
		processor: 'luci/luci',
		languageOptions: {
			sourceType: 'script',
			ecmaVersion: 2021,
			globals: { ...globals.browser, _: 'readonly', N_: 'readonly', L: 'readonly', E: 'readonly' },
			parserOptions: { ecmaFeatures: { globalReturn: true } }
		},
		linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: false },
		rules: {
			...js.configs.recommended.rules,
			'no-unused-vars': [ 'error', { caughtErrors: 'none', varsIgnorePattern: '^(view|baseclass|form|widgets)$' } ],
			'no-eval': 'error',
			'no-implied-eval': 'error',
			'no-new-func': 'error',
			'no-var': 'error',
			'prefer-const': [ 'error', { destructuring: 'all' } ],
			'quotes': [ 'error', 'single', { avoidEscape: true, allowTemplateLiterals: true } ],
			'semi': 'error',
			'no-trailing-spaces': 'error',
			'no-mixed-spaces-and-tabs': 'error',
			'max-lines': [ 'error', 400 ],
			'no-control-regex': 'off',
			'no-restricted-syntax': [ 'error', ...[ ...HTML, ...RPC ].map(rule) ]
		}
	},
	{
		files: [ 'htdocs/luci-static/resources/nfa/api.js' ],
		rules: { 'no-restricted-syntax': [ 'error', ...HTML.map(rule) ] }
	}
];
