// The unmodified `@livekit/rtc-node` package (libwebrtc in Rust, under Node) as a client of the
// tests. What its Python sister can and it cannot: to mute, and data tracks.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join as path } from 'node:path';

import * as media from './media.mjs';
import { serve } from './peer.mjs';

const packages = `${process.env.RINGWAY_CLIENTS}/node/node_modules/`;
const rtc = createRequire(packages)('@livekit/rtc-node');

const SOURCES = {
  camera: rtc.TrackSource.SOURCE_CAMERA,
  microphone: rtc.TrackSource.SOURCE_MICROPHONE,
  screen_share: rtc.TrackSource.SOURCE_SCREENSHARE,
};
const CODECS = { vp8: rtc.VideoCodec.VP8, h264: rtc.VideoCodec.H264 };

const room = new rtc.Room();
const events = [];
const published = {};
const watched = new Map();

function note(event, who = null, what = null) {
  events.push({ event, who: who?.identity ?? who, what });
}

function sourceOf(publication) {
  const found = Object.entries(SOURCES).find(([, number]) => number === publication.source);
  return found?.[0] ?? null;
}

/** A subscribed track: its frames are taken as they come. */
class Watched {
  frames = 0;
  last = null;
  ear = new media.Ear();

  constructor(track, source) {
    this.track = track;
    (source === 'microphone' ? this.hear() : this.see()).catch((error) => console.error(error));
  }

  async see() {
    for await (const { frame } of new rtc.VideoStream(this.track)) {
      this.last = frame;
      this.frames += 1;
    }
  }

  async hear() {
    for await (const frame of new rtc.AudioStream(this.track, media.SAMPLE_RATE, 1)) {
      this.ear.hear(frame.data);
      this.frames += 1;
    }
  }

  colours() {
    if (!this.last) return null;
    const { data, width, height } = this.last.convert(rtc.VideoBufferType.RGBA);
    return media.coloursOf(data, width, height);
  }
}

const key = (identity, source) => `${identity} ${source}`;

function listen() {
  room.on('trackSubscribed', (track, publication, who) => {
    const source = sourceOf(publication);
    watched.set(key(who.identity, source), new Watched(track, source));
    note('TrackSubscribed', who, source);
  });
  room.on('trackUnsubscribed', (track, publication, who) => {
    watched.delete(key(who.identity, sourceOf(publication)));
    note('TrackUnsubscribed', who, sourceOf(publication));
  });
  room.on('trackUnpublished', (one, who) => note('TrackUnpublished', who, sourceOf(one)));
  room.on('trackMuted', (one, who) => note('TrackMuted', who, sourceOf(one)));
  room.on('trackUnmuted', (one, who) => note('TrackUnmuted', who, sourceOf(one)));
  room.on('participantConnected', (who) => note('ParticipantConnected', who));
  room.on('participantDisconnected', (who) => note('ParticipantDisconnected', who));
  room.on('disconnected', (reason) => note('Disconnected', null, rtc.DisconnectReason[reason]));
  room.on('reconnecting', () => note('Reconnecting'));
  room.on('reconnected', () => note('Reconnected'));
  room.on('activeSpeakersChanged', (speakers) =>
    note('ActiveSpeakersChanged', null, speakers.map((who) => who.identity)));
  room.on('connectionQualityChanged', (quality, who) =>
    note('ConnectionQualityChanged', who, quality));
  room.on('dataReceived', (payload, who, kind, topic) =>
    note('DataReceived', who, [topic ?? '', new TextDecoder().decode(payload)]));
  room.on('chatMessage', (message, who) => note('ChatMessage', who, message.message));
  room.registerTextStreamHandler('words', async (reader, who) =>
    note('TextStream', who, await reader.readAll()));
  room.registerByteStreamHandler('files', async (reader, who) =>
    note('File', who, [reader.info.name, fault(Buffer.concat(await reader.readAll()))]));
}

/** Joins; `single` chooses between one and two peer connections. */
async function join({ url, token, single, options }) {
  listen();
  await room.connect(url, token, { singlePeerConnection: single, ...options });
  room.localParticipant.registerRpcMethod('echo', async (call) =>
    `${call.callerIdentity} said ${call.payload}`);
  return { identity: room.localParticipant.identity };
}

/** Sends a data message, to all if `to` is empty. */
async function say({ text, topic, reliable, to }) {
  const options = { reliable, topic, destination_identities: to };
  await room.localParticipant.publishData(new TextEncoder().encode(text), options);
}

/** The bytes of every file of the tests. */
function contents(bytes) {
  return Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 255);
}

/** Length of a file, and where it is wrong; -1 is nowhere. */
function fault(whole) {
  const wanted = contents(whole.length);
  return [whole.length, whole.findIndex((byte, at) => byte !== wanted[at])];
}

/** Sends a file. */
async function file({ name, bytes, to }) {
  const folder = await mkdtemp(path(tmpdir(), 'ringway-'));
  await writeFile(path(folder, name), contents(bytes));
  const options = { name, topic: 'files', destinationIdentities: to };
  await room.localParticipant.sendFile(path(folder, name), options);
  await rm(folder, { recursive: true });
}

/** Says something in the chat. */
async function chat({ text }) {
  await room.localParticipant.sendChatMessage(text);
}

/** Sends a text stream. */
async function stream({ text }) {
  await room.localParticipant.sendText(text, { topic: 'words' });
}

/** Calls a procedure of another participant's. */
async function call({ to, payload }) {
  const request = { destinationIdentity: to, method: 'echo', payload };
  return room.localParticipant.performRpc(request);
}

function draw(source, colours, width, height) {
  let turn = 0;
  setInterval(() => {
    const pixels = media.picture(colours, width, height, turn);
    source.captureFrame(new rtc.VideoFrame(pixels, width, height, rtc.VideoBufferType.RGBA));
    turn += 1;
  }, 1000 / media.FRAMES_A_SECOND);
}

async function play(source, hz) {
  const count = media.SAMPLE_RATE / 100;
  for (let start = 0; ; start += count) {
    const samples = media.sound(hz, start, count);
    await source.captureFrame(new rtc.AudioFrame(samples, media.SAMPLE_RATE, 1, count));
  }
}

async function send(track, options) {
  const publication = await room.localParticipant.publishTrack(
    track,
    new rtc.TrackPublishOptions(options),
  );
  return publication.sid;
}

/** Publishes a colour pattern as the camera and a tone as the microphone. */
async function publish({ colours, hz, width, height, codec, simulcast }) {
  const video = new rtc.VideoSource(width, height);
  draw(video, colours, width, height);
  const options = { source: SOURCES.camera, videoCodec: CODECS[codec], simulcast };
  const pattern = rtc.LocalVideoTrack.createVideoTrack('pattern', video);
  published.camera = await send(pattern, options);
  // What waits in the source paces who fills it.
  const audio = new rtc.AudioSource(media.SAMPLE_RATE, 1, 100);
  play(audio, hz).catch((error) => console.error(error));
  const tone = rtc.LocalAudioTrack.createAudioTrack('tone', audio);
  published.microphone = await send(tone, { source: SOURCES.microphone });
}

/** Stops to publish. */
async function unpublish({ source }) {
  await room.localParticipant.unpublishTrack(published[source]);
}

/** Subscribes or unsubscribes. */
function subscribe({ identity, source, wanted }) {
  const publications = [...room.remoteParticipants.get(identity).trackPublications.values()];
  publications.find((one) => one.source === SOURCES[source]).setSubscribed(wanted);
}

/** What the package says of the arrival of a track. */
async function received(track, kind) {
  const { publisherStats, subscriberStats } = await room.getRtcStats();
  // With one connection all of it is the publisher's, and a track there has a name that nobody
  // tells: then it is the first of its kind.
  const all = [...subscriberStats, ...publisherStats].map(({ stats }) => stats);
  const find = (name, right) => all.find((one) => one.case === name && right(one.value))?.value;
  const rtp = find('inboundRtp', ({ inbound }) => inbound.trackIdentifier === track.sid)
    ?? find('inboundRtp', ({ stream }) => stream.kind === kind);
  const codec = find('codec', ({ rtc: own }) => own.id === rtp?.stream.codecId);
  const transport = find('transport', ({ rtc: own }) => own.id === rtp?.stream.transportId);
  return {
    codec: codec?.codec.mimeType ?? null,
    cipher: transport?.transport.srtpCipher ?? null,
    packets: Number(rtp?.received.packetsReceived ?? 0),
    lost: Number(rtp?.received.packetsLost ?? 0),
  };
}

/** What arrives of a track; null without a subscription. */
async function watch({ identity, source }) {
  const one = watched.get(key(identity, source));
  if (!one) return null;
  return {
    ...(await received(one.track, source === 'microphone' ? 'audio' : 'video')),
    frames: one.frames,
    width: one.last?.width ?? 0,
    height: one.last?.height ?? 0,
    energy: one.ear.energy,
    colours: one.colours(),
    pitch_hz: one.ear.pitch(),
  };
}

/** All that happened so far. */
function happened() {
  return events;
}

/** Leaves. */
async function leave() {
  await room.disconnect();
}

await serve({
  join, publish, unpublish, subscribe, watch, happened, leave, say, stream, call, file, chat,
});
