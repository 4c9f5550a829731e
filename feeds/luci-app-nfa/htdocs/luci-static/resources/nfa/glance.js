'use strict';
'require baseclass';
'require nfa.health as health';
'require nfa.words as words';

/*
 * Whether it is on and works, in one sentence, and what is to be done. In: the daemon's status, what procd knows, and what
 * health found. Out: plain data; no page is touched here.
 */

/* Whether no action is on: then nothing is done with any flow, whatever else is right. */
function is_idle(status) {
	return status?.actions != null && !status.actions_left_out && Object.values(status.actions).every(action => !action.enabled);
}

function of_running(status, problems) {
	const everything = status.paused?.find(({ name }) => name === 'all');
	const errors = problems.filter(({ severity }) => severity === 'error').length, warnings = problems.length - errors;
	if (status.source?.connected === false && status.uptime >= 5)
		return { key: 'deaf', text: _('On, but netifyd is not connected: nothing is decided about any connection.'), act: '' };
	if (everything)
		return { key: 'paused', text: _('Paused: nothing is blocked, slowed down or put first until %s.').format(words.until(everything.until)), act: 'resume' };
	if (errors)
		return { key: 'errors', text: N_(errors, 'On, but %d thing does not work.', 'On, but %d things do not work.').format(errors), act: '' };
	if (is_idle(status))
		return { key: 'idle', text: _('On, but no rule is on: nothing is blocked, slowed down or put first.'), act: '' };
	const used = Object.values(status.actions ?? {}).filter(action => action.active && action.enabled).length + (status.actions_left_out ?? 0);
	const works = N_(used, 'On, and it works: %d rule is in use.', 'On, and it works: %d rules are in use.').format(used);
	return warnings ? { key: 'warnings', text: [ works, N_(warnings, '%d thing to look at.', '%d things to look at.').format(warnings) ].join(' '), act: '' }
		: { key: 'works', text: works, act: '' };
}

return baseclass.extend({
	is_idle: is_idle,

	/*
	 * { key, text, act }. `act`: what is to be done, by the one button beside it: start, restart, resume, log, or "". What is off
	 * has a card of its own, and each problem a button. `service` and `may_run`: as the state of health takes them; `problems`: of health.
	 */
	sentence: (status, service, may_run, problems) => {
		if (status != null)
			return of_running(status, problems);
		const { key, text } = health.state(status, service, may_run);
		return {
			off: { key, text: _('Switched off: nothing is blocked, slowed down or put first.'), act: '' },
			stopped: { key, text: _('Stopped: nothing is blocked, slowed down or put first.'), act: 'start' },
			starting: { key, text: _('Starting, or not answering. If this takes more than a minute, restart it.'), act: 'restart' },
			failed: { key, text: _('It ended unexpectedly, and starts again by itself after some seconds. The log says why.'), act: 'log' }
		}[key] ?? { key, text, act: '' };
	}
});
