'use strict';
'require baseclass';

/*
 * Lines of the system's log that the daemon wrote, or its init script: { time, level, text, raw }. Level: error, warning, notice,
 * match or debug, whatever stands at the beginning of its text; else what the log has it as.
 */

const LEVELS = [ 'error', 'warning', 'notice', 'match', 'debug' ];
const LINE = /^(\w{3} \w{3} +\d+ [\d:]+ \d{4}) (?:\[[\d.]+\] )?(\w+)\.(\w+) ([^ :[]+)(?:\[\d+\])?: (.*)$/;
const OF_SYSLOG = { emerg: 'error', alert: 'error', crit: 'error', err: 'error', warn: 'warning', warning: 'warning', debug: 'debug' };

function parse(line) {
	const found = line.match(LINE);
	if (found == null || !/^(nfa|python3?|procd|ujail)/.test(found[4]))
		return null;
	const [ , time, , priority, program, said ] = found;
	if (program != 'nfa' && !/\bnfa\b/.test(said))
		return null;
	const own = said.match(/^nfa: (\w+): (.*)$/);
	if (own == null)
		return { time: time, level: OF_SYSLOG[priority] ?? 'notice', text: said.replace(/^nfa: /, ''), raw: line };
	return { time: time, level: LEVELS.includes(own[1]) ? own[1] : 'notice', text: own[2], raw: line };
}

return baseclass.extend({
	LEVELS: LEVELS,

	parse: parse,

	/* Those of raw lines that are at least as grave as a level and have a text in them, whatever its case; oldest first. */
	chosen: (lines, level, search) => {
		const most = LEVELS.indexOf(level), wanted = search.trim().toLowerCase();
		return lines.map(parse).filter(line => line != null && LEVELS.indexOf(line.level) <= most &&
			(!wanted || line.raw.toLowerCase().includes(wanted)));
	}
});
