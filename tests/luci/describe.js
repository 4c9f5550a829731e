'use strict';

/* Prints as JSON what resources/nfa/api.js asks of the router: its declared calls, and the commands that it executes. */

const { load } = require('./loader.js');

const declared = [], executed = [];

const api = load('nfa.api', {
	rpc: {
		declare: options => {
			declared.push({ object: options.object, method: options.method, params: options.params ?? [] });
			return () => Promise.resolve({});
		},
		getStatusText: status => String(status)
	},
	fs: {
		exec: (command, given) => {
			executed.push([ command, ...(given ?? []) ].join(' '));
			return Promise.resolve({ code: 0, stdout: '', stderr: '' });
		}
	}
});

/* Each function is called, the service's for each of its actions, so each command is seen. */
const calls = Object.entries(api).filter(([ name, value ]) => typeof value === 'function' && name !== 'service_do').map(([ , work ]) => work());
calls.push(...api.SERVICE_ACTIONS.map(action => api.service_do(action)));

Promise.allSettled(calls).then(() => {
	process.stdout.write(JSON.stringify({ config: api.CONFIG, actions: api.SERVICE_ACTIONS, declared, executed }));
});
