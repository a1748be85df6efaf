// A tab's part in a call: the unmodified livekit-client, told what to do by name.

import { Ear, coloursOf, pattern, received, tone } from '/media.mjs';

const { DisconnectReason, ExternalE2EEKeyProvider, Room, RoomEvent, Track, VideoQuality } =
  LivekitClient;

let room;
const events = [];
const ears = new Map();

function note(event, who, what = null) {
  events.push({ event, who: who?.identity ?? who ?? null, what });
}

/** What encrypts media and data between the ends, with one key for all. */
async function encryption(key) {
  const keyProvider = new ExternalE2EEKeyProvider();
  await keyProvider.setKey(key);
  return { keyProvider, worker: new Worker('/e2ee.worker.mjs', { type: 'module' }) };
}

/**
 * Joins; `single` chooses between one and two peer connections. With `options.key` everything is
 * encrypted between the ends; the other options go to Room.
 */
export async function join({ url, token, single, options = {}, connect = {} }) {
  const { key, ...more } = options;
  if (key) more.encryption = await encryption(key);
  room = new Room({ singlePeerConnection: single, ...more });
  if (key) await room.setE2EEEnabled(true);
  room.on(RoomEvent.EncryptionError, (error, who) => note('EncryptionError', who, error.message));
  for (const name of ['TrackMuted', 'TrackUnmuted']) {
    room.on(RoomEvent[name], (publication, who) => note(name, who, publication.source));
  }
  room.on(RoomEvent.TrackSubscribed, (track, publication, who) => {
    document.body.append(track.attach());
    if (track.kind === Track.Kind.Audio) ears.set(track.sid, new Ear(track.mediaStreamTrack));
    note('TrackSubscribed', who, publication.source);
  });
  room.on(RoomEvent.TrackUnsubscribed, (track, publication, who) => {
    track.detach().forEach((element) => element.remove());
    ears.delete(track.sid);
    note('TrackUnsubscribed', who, publication.source);
  });
  room.on(RoomEvent.TrackUnpublished, (publication, who) =>
    note('TrackUnpublished', who, publication.source));
  room.on(RoomEvent.ParticipantConnected, (who) => note('ParticipantConnected', who));
  room.on(RoomEvent.ParticipantDisconnected, (who) => note('ParticipantDisconnected', who));
  room.on(RoomEvent.ActiveSpeakersChanged, (speakers) =>
    note('ActiveSpeakersChanged', null, speakers.map((who) => who.identity)));
  room.on(RoomEvent.ConnectionQualityChanged, (quality, who) =>
    note('ConnectionQualityChanged', who, quality));
  room.on(RoomEvent.Reconnecting, () => note('Reconnecting'));
  room.on(RoomEvent.SignalReconnecting, () => note('SignalReconnecting'));
  room.on(RoomEvent.Reconnected, () => note('Reconnected'));
  room.on(RoomEvent.Disconnected, (reason) => note('Disconnected', null, DisconnectReason[reason]));
  room.on(RoomEvent.DataReceived, (payload, who, kind, topic) =>
    note('DataReceived', who, [topic ?? '', new TextDecoder().decode(payload)]));
  room.registerTextStreamHandler('words', async (reader, who) =>
    note('TextStream', who.identity, await reader.readAll()));
  room.registerByteStreamHandler('files', async (reader, who) =>
    note('File', who.identity, [reader.info.name, fault(await reader.readAll())]));
  room.on(RoomEvent.TranscriptionReceived, (segments, who) =>
    note('Transcription', who, segments.map((one) => one.text)));
  room.on(RoomEvent.ChatMessage, (message, who) => note('ChatMessage', who, message.message));
  room.on(RoomEvent.DataTrackPublished, (track) => {
    note('DataTrackPublished', track.publisherIdentity, track.info.name);
    frames(track);
  });
  room.on(RoomEvent.DataTrackUnpublished, () => note('DataTrackUnpublished'));
  room.registerRpcMethod('echo', async (call) => `${call.callerIdentity} said ${call.payload}`);
  await room.connect(url, token, connect);
  return { identity: room.localParticipant.identity, server: room.serverInfo?.version ?? null };
}

/** Sends a data message, to all if `to` is empty. */
export async function say({ text, topic, reliable, to }) {
  const options = { reliable, topic, destinationIdentities: to };
  await room.localParticipant.publishData(new TextEncoder().encode(text), options);
}

/** The bytes of every file of the tests. */
function contents(bytes) {
  return Uint8Array.from({ length: bytes }, (_, at) => (at * 31 + (at >> 8)) & 255);
}

/** Length of a file that came in parts, and where it is wrong; -1 is nowhere. */
function fault(parts) {
  const whole = parts.flatMap((part) => [...part]);
  const wanted = contents(whole.length);
  return [whole.length, whole.findIndex((byte, at) => byte !== wanted[at])];
}

/** Sends a file. */
export async function file({ name, bytes, to }) {
  const options = { topic: 'files', destinationIdentities: to };
  await room.localParticipant.sendFile(new File([contents(bytes)], name), options);
}

/** Says something in the chat. */
export async function chat({ text }) {
  await room.localParticipant.sendChatMessage(text);
}

let track;

/** Publishes a data track. */
export async function publish_data({ name }) {
  track = await room.localParticipant.publishDataTrack({ name });
}

/** Sends a frame over it. */
export async function push({ text }) {
  await track.tryPush({ payload: new TextEncoder().encode(text) });
}

/** Ends it. */
export async function unpublish_data() {
  await track.unpublish();
}

/** Notes the frames of a track as they come: how long they are, and how they begin. */
async function frames(track) {
  for await (const frame of track.subscribe()) {
    const text = new TextDecoder().decode(frame.payload);
    note('DataFrame', track.publisherIdentity, [text.length, text.slice(0, 20)]);
  }
}

/** Sends a text stream. */
export async function stream({ text }) {
  await room.localParticipant.sendText(text, { topic: 'words' });
}

/** Calls a procedure of another participant's. */
export async function call({ to, payload }) {
  return room.localParticipant.performRpc({ destinationIdentity: to, method: 'echo', payload });
}

/** Video codecs that this browser decodes. */
export function decodes() {
  return RTCRtpReceiver.getCapabilities('video').codecs.map(({ mimeType }) => mimeType);
}

/** Publishes the fake camera; `simulcast` gives as many layers as the size allows. */
export async function camera({ width, height, codec, simulcast, more = {} }) {
  await room.localParticipant.setCameraEnabled(
    true,
    { resolution: { width, height, frameRate: 15 } },
    { videoCodec: codec, simulcast, ...more },
  );
}

/** Publishes the fake microphone, which beeps; what makes speech better would remove that. */
export async function microphone() {
  const plain = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  await room.localParticipant.setMicrophoneEnabled(true, plain);
}

/** Publishes a fake screen. */
export async function screen({ codec }) {
  await room.localParticipant.setScreenShareEnabled(true, {}, { videoCodec: codec });
}

/** Publishes a colour pattern as the camera and a tone as the microphone. */
export async function publish({ colours, hz, width, height, codec, simulcast }) {
  await room.localParticipant.publishTrack(pattern({ colours, width, height }), {
    source: Track.Source.Camera,
    videoCodec: codec,
    simulcast,
  });
  await room.localParticipant.publishTrack(tone(hz), { source: Track.Source.Microphone });
}

/** What this tab sends of a video track: each layer of each codec, and whether it is on. */
export async function sending({ source }) {
  const { track } = room.localParticipant.getTrackPublication(source);
  const backups = [...track.simulcastCodecs.values()].map((backup) => backup.sender);
  const layers = [];
  for (const sender of [track.sender, ...backups].filter(Boolean)) {
    const stats = [...(await sender.getStats()).values()];
    const outbound = stats.filter((one) => one.type === 'outbound-rtp');
    for (const { rid, active } of sender.getParameters().encodings) {
      const found = outbound.find((one) => (one.rid ?? null) === (rid ?? null));
      const codec = stats.find((one) => one.id === found?.codecId)?.mimeType ?? null;
      layers.push({ codec, rid: rid ?? null, active, frames: found?.framesEncoded ?? 0 });
    }
  }
  return layers;
}

/** Mutes or unmutes what this tab publishes. */
export async function mute({ source, muted }) {
  const { track } = room.localParticipant.getTrackPublication(source);
  await (muted ? track.mute() : track.unmute());
}

/** Stops to publish. */
export async function unpublish({ source }) {
  const { track } = room.localParticipant.getTrackPublication(source);
  await room.localParticipant.unpublishTrack(track);
}

function publicationOf(identity, source) {
  return room.remoteParticipants.get(identity)?.getTrackPublication(source);
}

/** Subscribes or unsubscribes. */
export function subscribe({ identity, source, wanted }) {
  publicationOf(identity, source).setSubscribed(wanted);
}

/** Asks for a layer by name: LOW, MEDIUM or HIGH. */
export function quality({ identity, source, quality }) {
  publicationOf(identity, source).setVideoQuality(VideoQuality[quality]);
}

/** Changes the size of the element that shows a track, which adaptive stream follows. */
export function size({ identity, source, width, height }) {
  for (const element of publicationOf(identity, source).track.attachedElements) {
    Object.assign(element.style, { width: `${width}px`, height: `${height}px` });
  }
}

/** What arrives of a track; null without a subscription. */
export async function watch({ identity, source }) {
  const track = publicationOf(identity, source)?.track;
  if (!track?.receiver) return null;
  return {
    ...(await received(track.receiver)),
    colours: coloursOf(track.kind === Track.Kind.Video ? track.attachedElements[0] : null),
    pitch_hz: ears.get(track.sid)?.pitch() ?? null,
  };
}

/** Lets a failure happen that the client knows how to simulate. */
export async function simulate({ scenario }) {
  await room.simulateScenario(scenario);
}

/** All that happened so far. */
export function happened() {
  return events;
}

/** Leaves. */
export async function leave() {
  await room.disconnect();
}
