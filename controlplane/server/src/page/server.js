// Plain browser means only: RTCPeerConnection, fetch, canvas. Everything comes from this server.

const DEVELOPMENT = document.documentElement.dataset.mode === 'development';
/** Pictures and sounds that are played at once. More cost a browser more than a page is worth. */
const SLOTS = 6;
/** Without a new picture for so long, nobody sends one any more. */
const QUIET_MS = 3000;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 5000;
/** A connection that is not there by then never comes. */
const CONNECT_MS = 15000;
const VIDEO_BPS = 2_000_000;

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((done) => { setTimeout(done, ms); });

/** A sentence for people. */
class Problem extends Error {}
/** One that trying again does not help. */
class Refusal extends Problem {}



async function request(method, url, options) {
  let answer;
  try {
    answer = await fetch(url, { method, ...options });
  } catch {
    throw new Problem('The server does not answer. Does it still run?');
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let told = text;
  try {
    const body = JSON.parse(text);
    told = body.error?.message ?? body.error ?? text;
  } catch { /* Not JSON: the text itself is the reason. */ }
  const reason = told ? `: ${String(told).trim()}` : '';
  if (answer.status === 401) throw new Refusal(`The token is not accepted${reason}.`);
  if (answer.status === 403) throw new Refusal(`This is not allowed${reason}.`);
  if (answer.status === 404) throw new Refusal(`There is no such thing${reason}.`);
  if (answer.status === 406) {
    throw new Refusal('The server and this browser have no codec in common.');
  }
  if (answer.status >= 500) throw new Problem(`The server cannot take this now${reason}.`);
  throw new Refusal(`The server refuses this (${answer.status})${reason}.`);
}

async function watchServer() {
  for (;;) {
    const answer = await fetch('/', { headers: { Accept: 'text/plain' } }).catch(() => null);
    const [text, kind] = answer?.ok ? ['server runs', 'good']
      : answer ? ['media is away', 'bad'] : ['server is away', 'bad'];
    const pill = $('server');
    if (pill.textContent !== text) pill.textContent = text;
    pill.className = `pill ${kind}`;
    await sleep(document.hidden ? 10000 : 2000);
  }
}

/** What the token says, unchecked: to show it. */
function claimsOf(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(part), (char) => char.charCodeAt(0));
    const { sub = '', video = {} } = JSON.parse(new TextDecoder().decode(bytes));
    return { identity: sub, room: video.room ?? '' };
  } catch {
    throw new Refusal('This is not a token: it has another form.');
  }
}

async function tokenFor(direction, form) {
  if (!DEVELOPMENT) return form[direction];
  const answer = await request('POST', '/dev/token', {
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ room: form.room, identity: form.identity, direction }),
  });
  return (await answer.json()).token;
}
