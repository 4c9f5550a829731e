'use strict';
'require baseclass';

/*
 * Names of netifyd as people know them. In: names of applications, protocols and categories, as the daemon and expressions have
 * them. Out: texts for people; what is written stays the name.
 */

/* Words whose capitals do not follow from their letters. */
const WORDS = {
	aws: 'AWS', bbc: 'BBC', bittorrent: 'BitTorrent', cdn: 'CDN', cnn: 'CNN', dailymotion: 'Dailymotion', ebay: 'eBay', facetime: 'FaceTime',
	github: 'GitHub', gitlab: 'GitLab', hbo: 'HBO', http: 'HTTP', icloud: 'iCloud', imap: 'IMAP', imessage: 'iMessage', iot: 'IoT', iphone: 'iPhone',
	itunes: 'iTunes', linkedin: 'LinkedIn', msn: 'MSN', mysql: 'MySQL', nbc: 'NBC', nfl: 'NFL', ntp: 'NTP', onedrive: 'OneDrive',
	openvpn: 'OpenVPN', os: 'OS', paypal: 'PayPal', playstation: 'PlayStation', postgresql: 'PostgreSQL', rtp: 'RTP', sharepoint: 'SharePoint',
	sip: 'SIP', soundcloud: 'SoundCloud', tiktok: 'TikTok', vk: 'VK', voip: 'VoIP', vpn: 'VPN', whatsapp: 'WhatsApp', wechat: 'WeChat',
	wireguard: 'WireGuard', youtube: 'YouTube'
};

const word = text => Object.hasOwn(WORDS, text) ? WORDS[text] : text.charAt(0).toUpperCase() + text.slice(1);

/* netify.apple-icloud: Apple iCloud. Numbers stay numbers, and what has capitals already stays as it is. */
function application(name) {
	const own = String(name ?? '').replace(/^netify\.(?=.)/, '');
	return own === own.toLowerCase() ? own.split(/[-_]+/).filter(part => part).map(word).join(' ') || own : own;
}

/* streaming-media: Streaming media. */
function category(name) {
	const [ first, ...rest ] = String(name ?? '').split(/[-_]+/).filter(part => part);
	return first == null ? String(name ?? '') : [ word(first), ...rest.map(part => Object.hasOwn(WORDS, part) ? WORDS[part] : part) ].join(' ');
}

/* Most names of protocols are initials; an expression has them in small letters. */
function protocol(name) {
	const text = String(name ?? '');
	if (text !== text.toLowerCase() || Object.hasOwn(WORDS, text))
		return Object.hasOwn(WORDS, text) ? WORDS[text] : text;
	return text.length <= 6 ? text.toUpperCase() : word(text);
}

const KINDS = { apps: application, protocols: protocol, categories: category };

return baseclass.extend({
	application: application,
	category: category,
	protocol: protocol,

	/* A choice of a kind of nfa.criteria, as people know it. */
	choice: (kind, name) => (KINDS[kind] ?? String)(name)
});
