'use strict';
'require baseclass';
'require nfa.api as api';
'require nfa.flow as flow';
'require nfa.parts as parts';
'require nfa.readable as readable';
'require nfa.staging as staging';
'require nfa.stored as stored';
'require nfa.words as words';

/*
 * Why a flow was decided as it was, by the configuration as it is now: a dialog, from which an exemption or a policy can be
 * started.
 */

const OUTCOMES = {
	'matched': _('%s matches'),
	'exempt': _('%s exempts this'),
	'no match': _('%s does not match'),
	'other interface': _('%s is for another interface'),
	'outside hours': _('%s would match, but is outside its schedule'),
	'halted': _('%s was not tried any more'),
	'off': _('%s is off')
};

function said(step) {
	return (OUTCOMES[step.outcome] ?? '%s').format(step.action);
}

function told(title, reasons) {
	return E('li', { 'style': 'color:inherit' }, [ E('strong', {}, [ title ]), ...reasons.map(reason =>
		E('div', { 'style': 'overflow-wrap:anywhere' }, [ E('bdi', {}, [ reason ]) ])) ]);
}

/* Rules that are about something else, or off, are many, and seldom asked for. */
const ASIDE = [ 'no match', 'off' ];

function steps(answer) {
	const others = answer.steps.filter(step => ASIDE.includes(step.outcome));
	const rest = answer.steps.filter(step => !ASIDE.includes(step.outcome));
	return [
		E('ul', {}, rest.map(step => told(said(step), step.why))),
		...(others.length ? [ E('details', {}, [
			E('summary', {}, [ N_(others.length, '%d rule has nothing to do with it', '%d rules have nothing to do with it').format(others.length) ]),
			E('ul', {}, others.map(step => told(said(step), step.why)))
		]) ] : []),
		...(answer.steps_left_out ? [ E('p', {}, [ N_(answer.steps_left_out, '%d more is not listed.', '%d more are not listed.').format(answer.steps_left_out) ]) ] : [])
	];
}

function results(answer) {
	const gets = Object.entries(answer.effects).map(([ name, effects ]) => told(name, effects));
	const not = Object.entries(answer.skipped).map(([ name, reason ]) => told(_('%s gets nothing').format(name), [ reason ]));
	return gets.length + not.length ? E('ul', {}, gets.concat(not)) : E('p', {}, [ _('Nothing: no rule matches.') ]);
}

function explanation(answer) {
	if (answer.steps == null)
		return [ E('p', {}, [ _('The configuration has errors, and cannot be used. The page Rules shows them.') ]) ];
	if (answer.exempt.length)
		return [ E('ul', {}, [ told(_('Exempt from all rules'), answer.exempt) ]) ];
	return [ ...steps(answer), E('h5', {}, [ _('Result') ]), results(answer) ];
}

function select(id, options) {
	return E('select', { 'id': id, 'class': 'cbi-input-select', 'style': 'max-width:100%;width:100%;text-overflow:ellipsis' },
		options.map(([ value, title ]) => E('option', { 'value': value }, [ title ])));
}

function row(label, field) {
	return E('div', { 'class': 'cbi-value' }, [
		E('label', { 'class': 'cbi-value-title', 'for': field.id }, [ label ]), E('div', { 'class': 'cbi-value-field' }, [ field ])
	]);
}

/*
 * The second dialog: what of the flow is meant, and what is to be done about it. `fields`: more rows; `check` asks the
 * daemon about an expression; `stage` makes the change, and gives the promise of the place of the page to go on with.
 */
function ask(title, text, found, fields, check, stage) {
	const what = select('nfa-start-what', found.map((choice, index) => [ index, choice.title ]));
	const expression = E('code', { 'id': 'nfa-start-expression', 'style': 'overflow-wrap:anywhere;white-space:normal' });
	const state = parts.state();
	const chosen = () => found[Number(what.value)].expression;
	const yes = words.button(_('Continue on the page Rules'), 'positive important', () => stage(chosen()).then(place => {
		window.location = `${L.url('admin/services/nfa/policies')}#${place}`;
	}, error => {
		state.say(String(error?.message ?? error), 'warning');
		document.getElementById('nfa-start-name')?.focus();
	}));
	/* What the daemon says of the choice; with an error in it, there is nothing to go on with. */
	const show = () => {
		const shown = chosen();
		expression.textContent = shown;
		yes.disabled = true;
		return check(shown).then(answer => answer.reports ?? [], error => [ { message: error.message } ]).then(reports => {
			if (shown !== chosen())
				return;
			const error = reports.find(report => report.severity === 'error');
			state.say((error ?? reports[0])?.message ?? '', reports.length ? 'warning' : null);
			yes.disabled = error != null;
		});
	};
	what.addEventListener('change', show);
	parts.dialog(title, [
		E('p', {}, [ text ]), row(_('Which flows'), what), ...fields.map(([ label, field ]) => row(label, field)),
		E('p', {}, [ _('As an expression:'), ' ', expression ]), state.node
	], [ yes ]);
	return show();
}

function start_allow(match, hosts) {
	return staging.load().then(() => {
		// The narrow choice comes first: this application on this device, by the rule that matched.
		const who = select('nfa-start-for', staging.changeable(match.actions).map(name => [ name, _('only the rule %s').format(name) ])
			.concat([ [ stored.GLOBAL, _('every rule') ] ]));
		return ask(_('Allow'), _('What you choose here is allowed: these rules do not touch it any more. Nothing changes until you save and apply.'),
			flow.choices(match.flow, hosts), [ [ _('By which rule it is left alone'), who ] ], api.checkExemptions,
			expression => Promise.resolve().then(() => staging.exempt(expression, who.value)).then(() => `exempt=${who.value}`));
	});
}

function start_policy(match, hosts) {
	return staging.load().then(() => {
		const name = E('input', {
			'id': 'nfa-start-name', 'class': 'cbi-input-text', 'type': 'text', 'maxlength': 64, 'pattern': '[A-Za-z0-9_]+',
			'value': flow.policy_name(match.flow, staging.taken())
		});
		const target = select('nfa-start-target', staging.targets().map(one => [ one, one ]).concat([ [ '', _('choose later') ] ]));
		return ask(_('New rule'), _('A rule for flows like this one. Nothing changes until you save and apply.'),
			flow.choices(match.flow, hosts), [ [ _('Name'), name ], [ _('Target'), target ] ], api.checkCriteria,
			expression => Promise.resolve().then(() => staging.add(name.value.trim(), expression, target.value)).then(() => `edit=${name.value.trim()}`));
	});
}

return baseclass.extend({
	/* Show why. `match`: of api.matches; `hosts`: the names of devices. */
	open: (match, hosts) => {
		const f = match.flow;
		const body = E('div', { 'aria-live': 'polite' }, [ E('p', { 'class': 'spinning' }, [ _('Asking the daemon.') ]) ]);
		const names = [ readable.application(flow.application(f)), flow.protocol(f), flow.hostname(f) ].filter(name => name);
		const change = (label, start) => words.button(label, 'action', () => start(match, hosts));
		parts.dialog(_('Why?'), [
			E('p', { 'style': 'overflow-wrap:anywhere' }, [ E('bdi', {}, [ _('%s (%s) to %s').format(
				flow.device(f, hosts), flow.end(f.local_ip, f.local_port), flow.end(f.other_ip, f.other_port)) ]) ]),
			E('ul', {}, names.map(name => E('li', { 'style': 'color:inherit;overflow-wrap:anywhere' }, [ E('bdi', {}, [ name ]) ]))),
			body
		], L.hasViewPermission() ? [ change(_('Allow'), start_allow), change(_('New rule'), start_policy) ] : [], { close: _('Close') });
		return api.explain(f.digest).then(explanation, error => [
			E('p', { 'class': 'alert-message warning' }, [ error.message ])
		]).then(nodes => body.replaceChildren(...nodes));
	}
});
