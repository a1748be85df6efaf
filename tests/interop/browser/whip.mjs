// WHIP and WHEP by plain browser means, as RFC 9725 and its playback counterpart have them.

import { Ear, coloursOf, pattern, received, tone } from '/media.mjs';

let connection;
let session;
let token;
const players = {};
const channels = {};
const heard = [];

async function request(method, url, headers = {}, body = undefined) {
  const answer = await fetch(url, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...headers },
    body,
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${text}`);
  return { status: answer.status, headers: answer.headers, text };
}

function candidatesGathered() {
  return new Promise((done) => {
    connection.onicecandidate = ({ candidate }) => { if (!candidate) done(); };
  });
}

/** Lines of the local description that a trickle or restart request carries (RFC 8840). */
function fragment() {
  const lines = connection.localDescription.sdp.split('\r\n');
  const first = lines.findIndex((line) => line.startsWith('m='));
  const section = lines.slice(first);
  const end = section.findIndex((line, index) => index > 0 && line.startsWith('m='));
  const media = end < 0 ? section : section.slice(0, end);
  const pick = (start) => media.filter((line) => line.startsWith(start));
  const kept = [
    ...pick('a=ice-ufrag:'),
    ...pick('a=ice-pwd:'),
    media[0],
    ...pick('a=mid:'),
    ...pick('a=candidate:'),
    'a=end-of-candidates',
  ];
  return `${kept.join('\r\n')}\r\n`;
}

async function offer(url) {
  const gathered = candidatesGathered();
  await connection.setLocalDescription();
  const answer = await request('POST', url, { 'Content-Type': 'application/sdp' },
    connection.localDescription.sdp);
  const location = answer.headers.get('Location');
  session = { url: new URL(location, url).href, etag: answer.headers.get('ETag') };
  await connection.setRemoteDescription({ type: 'answer', sdp: answer.text });
  await gathered;
  return {
    status: answer.status,
    location,
    etag: session.etag,
    link: answer.headers.get('Link'),
    type: answer.headers.get('Content-Type'),
    ufrag: answer.text.split(/\r?\n/).find((line) => line.startsWith('a=ice-ufrag:')) ?? null,
  };
}

/** Opens data channels by name, each with options of its own, before there is an offer. */
function openChannels(wanted) {
  for (const [label, options] of Object.entries(wanted)) {
    const channel = connection.createDataChannel(label, options);
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) =>
      heard.push([label, typeof data === 'string' ? data : new TextDecoder().decode(data)]);
    channels[label] = channel;
  }
}

/** Publishes a pattern and a tone by WHIP, with data channels if some are wanted. */
export async function whip({ url, token: bearer, colours, hz, width, height, data = {} }) {
  token = bearer;
  connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  openChannels(data);
  connection.addTransceiver(pattern({ colours, width, height }), { direction: 'sendonly' });
  connection.addTransceiver(tone(hz), { direction: 'sendonly' });
  return offer(url);
}

/** Plays by WHEP, with data channels if some are wanted. */
export async function whep({ url, token: bearer, data = {} }) {
  token = bearer;
  connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  openChannels(data);
  connection.ontrack = ({ track, receiver }) => {
    const video = Object.assign(document.createElement(track.kind), { autoplay: true });
    video.srcObject = new MediaStream([track]);
    document.body.append(video);
    players[track.kind] = { receiver, video, ear: track.kind === 'audio' ? new Ear(track) : null };
  };
  connection.addTransceiver('video', { direction: 'recvonly' });
  connection.addTransceiver('audio', { direction: 'recvonly' });
  return offer(url);
}

/** Sends text over a data channel; whether that is open. */
export function utter({ label, text }) {
  const open = channels[label].readyState === 'open';
  if (open) channels[label].send(text);
  return open;
}

/** What came over data channels: their names, and what it says. */
export function utterances() {
  return heard;
}

/** Sends the gathered candidates, as trickling does. */
export async function trickle() {
  const answer = await request('PATCH', session.url, {
    'Content-Type': 'application/trickle-ice-sdpfrag',
    'If-Match': session.etag,
  }, fragment());
  return { status: answer.status };
}

/** Restarts ICE (RFC 9725 4.3.3): new credentials go out, the server's come back. */
export async function restart() {
  const before = connection.currentRemoteDescription.sdp;
  const gathered = candidatesGathered();
  await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
  await gathered;
  const answer = await request('PATCH', session.url, {
    'Content-Type': 'application/trickle-ice-sdpfrag',
    'If-Match': '*',
  }, fragment());
  session.etag = answer.headers.get('ETag');
  const line = (name) => answer.text.split(/\r?\n/).find((one) => one.startsWith(`a=${name}:`));
  const candidates = answer.text.split(/\r?\n/).filter((one) => one.startsWith('a=candidate:'));
  const sdp = before
    .replaceAll(/a=candidate:.*\r\n/g, '')
    .replaceAll(/a=ice-ufrag:.*/g, line('ice-ufrag'))
    .replaceAll(/a=ice-pwd:.*/g, `${line('ice-pwd')}\r\n${candidates.join('\r\n')}`);
  await connection.setRemoteDescription({ type: 'answer', sdp });
  return { status: answer.status, etag: session.etag, ufrag: line('ice-ufrag') };
}

/** The state of the connection and, of what it sends, the frames and the path. */
export async function sent() {
  const stats = [...(await connection.getStats()).values()];
  const out = stats.find((one) => one.type === 'outbound-rtp' && one.kind === 'video');
  const transport = stats.find((one) => one.type === 'transport');
  return {
    state: connection.connectionState,
    ufrag: transport?.iceLocalUsernameFragment ?? null,
    ice: transport?.iceState ?? null,
    cipher: transport?.srtpCipher ?? null,
    frames: out?.framesEncoded ?? 0,
  };
}

/** What arrives by WHEP; null while nothing does. */
export async function played({ kind }) {
  const player = players[kind];
  if (!player) return null;
  return {
    ...(await received(player.receiver)),
    colours: coloursOf(kind === 'video' ? player.video : null),
    pitch_hz: player.ear?.pitch() ?? null,
  };
}

/** Ends the session as the protocol says. */
export async function end() {
  const answer = await request('DELETE', session.url);
  connection.close();
  return { status: answer.status };
}
