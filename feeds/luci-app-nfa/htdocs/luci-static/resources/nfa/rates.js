'use strict';
'require baseclass';

/*
 * From totals that a daemon counts to how many a second there were. In: totals as they are polled. Out: points over the last
 * `span` seconds. A daemon that starts again counts from zero again; one that does not answer leaves a gap.
 */
return baseclass.extend({
	history: span => {
		const points = [];
		let last = null;

		return {
			points: points,

			/*
			 * `time`: seconds by any clock that only goes on; `total`: what was counted since the daemon's start, null when it
			 * did not answer; `uptime`: its seconds since then.
			 */
			add: (time, total, uptime) => {
				while (points.length && points[0].time < time - span)
					points.shift();
				if (total == null) {
					if (points.length && points[points.length - 1].rate != null)
						points.push({ time: time, rate: null });
					last = null;
					return;
				}
				if (last != null && time > last.time) {
					const again = total < last.total || uptime < last.uptime;
					points.push({ time: time, rate: (again ? total : total - last.total) / (time - last.time) });
				}
				last = { time: time, total: total, uptime: uptime };
			},

			/* Whether there was an answer at last. */
			answered: () => last != null,

			/* The rate now, null when it is not known, and the highest of all points. */
			now: () => points.length ? points[points.length - 1].rate : null,
			highest: () => points.reduce((most, point) => Math.max(most, point.rate ?? 0), 0)
		};
	},

	/* The next round number (1, 2 or 5 times a power of ten) that is not lower: the top of a scale. */
	top: number => {
		if (!(number > 0))
			return 1;
		const power = Math.pow(10, Math.floor(Math.log10(number)));
		return [ 1, 2, 5, 10 ].map(step => step * power).find(step => step >= number * 0.999999);
	}
});
