"""The unmodified `livekit` package (libwebrtc in Rust) as a client of the tests."""

import asyncio
import os
import sys
import tempfile
import time

import media
import numpy
import peer
from livekit import rtc

SOURCES = {
    "camera": rtc.TrackSource.SOURCE_CAMERA,
    "microphone": rtc.TrackSource.SOURCE_MICROPHONE,
    "screen_share": rtc.TrackSource.SOURCE_SCREENSHARE,
}
NAMES = {number: name for name, number in SOURCES.items()}
CODECS = {"vp8": rtc.VideoCodec.VP8, "h264": rtc.VideoCodec.H264}

# Who asks about a track for so long waits for something; who does not ask for a while no longer.
PATIENT_S = 5

room = None
events = []
published = {}
watched = {}
tasks = set()


def run(work):
    """Keeps a task alive and lets its failure be seen."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
    return task


def note(event, who=None, what=None):
    events.append({"event": event, "who": getattr(who, "identity", who), "what": what})


class Watched:
    """A subscribed track: its frames are taken as they come."""

    def __init__(self, track, source):
        self.track = track
        self.frames, self.pixels = 0, None
        self.waited_since, self.asked_at = 0, 0
        self.ear = media.Ear()
        self.stream = None
        self.taking = run(self.hear() if source == "microphone" else self.see())

    async def see(self):
        self.stream = rtc.VideoStream(self.track, format=rtc.VideoBufferType.RGBA, capacity=1)
        async for event in self.stream:
            frame = event.frame
            shape = (frame.height, frame.width, 4)
            self.pixels = numpy.frombuffer(frame.data, dtype=numpy.uint8).reshape(shape)
            self.frames += 1

    async def hear(self):
        stream = rtc.AudioStream(self.track, sample_rate=media.SAMPLE_RATE, num_channels=1)
        async for event in stream:
            self.ear.hear(numpy.frombuffer(event.frame.data, dtype=numpy.int16))
            self.frames += 1

    def state(self):
        """How far it has come: a decoder of the library may have frames that we never get."""
        inner = getattr(self.stream, "_task", None)
        return f"{self.frames} frames came; we: {self.taking}; the library's stream: {inner}"

    def is_waited_for(self):
        """To be called whenever it is asked about: whether that has gone on for a while. Then it
        takes as long until it is so again."""
        now = time.monotonic()
        if now - self.asked_at > PATIENT_S:
            self.waited_since = now
        self.asked_at = now
        waited = now - self.waited_since > PATIENT_S
        if waited:
            self.waited_since = now
        return waited


def encryption(key):
    """What encrypts media and data between the ends, with one key for all."""
    provider = rtc.KeyProviderOptions(shared_key=key.encode())
    return rtc.E2EEOptions(key_provider_options=provider)


async def join(url, token, single, options=None, connect=None):
    """Joins; `single` chooses between one and two peer connections. With `options["key"]`
    everything is encrypted between the ends."""
    global room
    room = rtc.Room()

    @room.on("track_subscribed")
    def _(track, publication, who):
        source = NAMES.get(publication.source)
        watched[who.identity, source] = Watched(track, source)
        note("TrackSubscribed", who, source)

    @room.on("track_unsubscribed")
    def _(track, publication, who):
        source = NAMES.get(publication.source)
        watched.pop((who.identity, source), None)
        note("TrackUnsubscribed", who, source)

    room.on("track_muted", lambda who, one: note("TrackMuted", who, NAMES.get(one.source)))
    room.on("track_unmuted", lambda who, one: note("TrackUnmuted", who, NAMES.get(one.source)))
    room.on("participant_connected", lambda who: note("ParticipantConnected", who))
    room.on("participant_disconnected", lambda who: note("ParticipantDisconnected", who))
    room.on("disconnected", lambda reason: note("Disconnected", None, str(reason)))
    room.on("reconnecting", lambda: note("Reconnecting"))
    room.on(
        "active_speakers_changed",
        lambda all: note("ActiveSpeakersChanged", None, [who.identity for who in all]),
    )
    room.on(
        "connection_quality_changed",
        lambda who, quality: note("ConnectionQualityChanged", who, int(quality)),
    )
    room.on(
        "data_received",
        lambda one: note("DataReceived", one.participant, [one.topic, one.data.decode()]),
    )

    async def read(reader, who):
        note("TextStream", who, await reader.read_all())

    async def keep(reader, who):
        whole = b"".join([part async for part in reader])
        wanted = contents(len(whole))
        fault = next((at for at, byte in enumerate(whole) if byte != wanted[at]), -1)
        note("File", who, [reader.info.name, [len(whole), fault]])

    room.register_byte_stream_handler("files", lambda reader, who: run(keep(reader, who)))

    @room.on("data_track_published")
    def _(track):
        note("DataTrackPublished", track.publisher_identity, track.info.name)
        run(frames(track))

    room.on("data_track_unpublished", lambda sid: note("DataTrackUnpublished"))
    room.register_text_stream_handler("words", lambda reader, who: run(read(reader, who)))

    async def echo(call):
        return f"{call.caller_identity} said {call.payload}"

    @room.on("e2ee_state_changed")
    def _(who, state):
        name = rtc.EncryptionState.Name(state)
        if name not in ("NEW", "OK", "KEY_RATCHETED"):
            note("EncryptionError", who, name)

    key = (options or {}).get("key")
    options = rtc.RoomOptions(single_peer_connection=single)
    options.encryption = encryption(key) if key else None
    if (connect or {}).get("rtcConfig", {}).get("iceTransportPolicy") == "relay":
        relay = rtc.IceTransportType.TRANSPORT_RELAY
        options.rtc_config = rtc.RtcConfiguration(ice_transport_type=relay)
    await room.connect(url, token, options)
    room.local_participant.register_rpc_method("echo", echo)
    return {"identity": room.local_participant.identity}


async def say(text, topic, reliable, to):
    """Sends a data message, to all if `to` is empty."""
    await room.local_participant.publish_data(
        text.encode(), reliable=reliable, destination_identities=to, topic=topic
    )


def contents(count):
    """The bytes of every file of the tests."""
    return bytes((at * 31 + (at >> 8)) & 255 for at in range(count))


async def file(name, bytes, to):
    """Sends a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, name)
        with open(path, "wb") as out:
            out.write(contents(bytes))
        await room.local_participant.send_file(path, topic="files", destination_identities=to)


async def transcribe(of, text):
    """Says what another participant said."""
    segment = rtc.TranscriptionSegment(
        id="1", text=text, start_time=0, end_time=0, language="en", final=True
    )
    words = rtc.Transcription(participant_identity=of, track_sid="", segments=[segment])
    await room.local_participant.publish_transcription(words)


async def publish_data(name):
    """Publishes a data track."""
    published["data"] = await room.local_participant.publish_data_track(name=name)


def push(text):
    """Sends a frame over it."""
    published["data"].try_push(rtc.DataTrackFrame(payload=text.encode()))


async def unpublish_data():
    """Ends it."""
    await published["data"].unpublish()


async def frames(track):
    """Notes the frames of a track as they come: how long they are, and how they begin."""
    async for frame in track.subscribe():
        text = frame.payload.decode()
        note("DataFrame", track.publisher_identity, [len(text), text[:20]])


async def stream(text):
    """Sends a text stream."""
    await room.local_participant.send_text(text, topic="words")


async def call(to, payload):
    """Calls a procedure of another participant's."""
    return await room.local_participant.perform_rpc(
        destination_identity=to, method="echo", payload=payload
    )


async def draw(source, colours, width, height):
    turn = 0
    while True:
        pixels = media.picture(colours, width, height, turn)
        frame = rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels.tobytes())
        source.capture_frame(frame)
        turn += 1
        await asyncio.sleep(1 / media.FRAMES_A_SECOND)


async def play(source, hz):
    count, start = media.SAMPLE_RATE // 100, 0
    while True:
        data = media.sound(hz, start, count).tobytes()
        await source.capture_frame(rtc.AudioFrame(data, media.SAMPLE_RATE, 1, count))
        start += count


async def publish(colours, hz, width, height, codec, simulcast):
    """Publishes a colour pattern as the camera and a tone as the microphone."""
    video = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("pattern", video)
    run(draw(video, colours, width, height))
    options = rtc.TrackPublishOptions(
        source=SOURCES["camera"], video_codec=CODECS[codec], simulcast=simulcast
    )
    published["camera"] = await room.local_participant.publish_track(track, options)
    audio = rtc.AudioSource(media.SAMPLE_RATE, 1, queue_size_ms=100)
    track = rtc.LocalAudioTrack.create_audio_track("tone", audio)
    run(play(audio, hz))
    options = rtc.TrackPublishOptions(source=SOURCES["microphone"])
    published["microphone"] = await room.local_participant.publish_track(track, options)


def mute(source, muted):
    """Mutes or unmutes what this client publishes."""
    track = published[source].track
    track.mute() if muted else track.unmute()


def publication_of(identity, source):
    publications = room.remote_participants[identity].track_publications.values()
    return next(one for one in publications if one.source == SOURCES[source])


def subscribe(identity, source, wanted):
    """Subscribes or unsubscribes."""
    publication_of(identity, source).set_subscribed(wanted)


def story(video, codecs):
    """What has become of an inbound video stream, from its packets to its pictures."""
    received, inbound = video.received, video.inbound
    emitted = max(inbound.jitter_buffer_emitted_count, 1)
    return (
        f"mid {inbound.mid} ssrc {video.stream.ssrc} {codecs.get(video.stream.codec_id)}: "
        f"{received.packets_received} packets, {received.packets_lost} lost, "
        f"{inbound.packets_discarded} discarded, "
        f"{inbound.retransmitted_packets_received} retransmitted; "
        f"{inbound.frames_received} frames received, {inbound.frames_decoded} decoded, "
        f"{inbound.key_frames_decoded} of them key frames, {inbound.frames_dropped} dropped; "
        f"{inbound.pli_count} PLI, {inbound.fir_count} FIR, {inbound.nack_count} NACK sent; "
        f"jitter buffer {inbound.jitter_buffer_delay / emitted * 1000:.0f} ms of "
        f"{inbound.jitter_buffer_emitted_count} frames; "
        f"{inbound.frame_width}x{inbound.frame_height}, {inbound.decoder_implementation}"
    )


async def explain(identity, source):
    """Tells the log, which a test shows that fails, of every inbound video stream."""
    stats = await room.get_rtc_stats()
    print(f"still waiting for {identity}'s {source}:", file=sys.stderr)
    for side, all_stats in [("pub", stats.publisher_stats), ("sub", stats.subscriber_stats)]:
        codecs = {
            one.codec.rtc.id: f"{one.codec.codec.mime_type} {one.codec.codec.sdp_fmtp_line}"
            for one in all_stats
            if one.WhichOneof("stats") == "codec"
        }
        for one in all_stats:
            if one.WhichOneof("stats") == "inbound_rtp" and one.inbound_rtp.stream.kind == "video":
                print(f"  {side} {story(one.inbound_rtp, codecs)}", file=sys.stderr)


async def watch(identity, source):
    """What arrives of a track; None without a subscription."""
    one = watched.get((identity, source))
    if one is None:
        return None
    if one.is_waited_for():
        await explain(identity, source)
        print(f"  {one.state()}", file=sys.stderr)
    seen = {"codec": None, "cipher": None, "protocol": None, "packets": 0, "lost": 0}
    decoded = 0
    for stats in await one.track.get_stats():
        kind = stats.WhichOneof("stats")
        if kind == "inbound_rtp":
            received = stats.inbound_rtp
            decoded = received.inbound.frames_decoded
            seen["packets"] = received.received.packets_received
            seen["lost"] = received.received.packets_lost
        elif kind == "codec":
            seen["codec"] = stats.codec.codec.mime_type
        elif kind == "transport":
            seen["cipher"] = stats.transport.transport.srtp_cipher
    height, width = (0, 0) if one.pixels is None else one.pixels.shape[:2]
    return seen | {
        "frames": min(one.frames, decoded) if one.pixels is not None else one.frames,
        "width": width,
        "height": height,
        "energy": one.ear.energy,
        "colours": None if one.pixels is None else media.colours_of(one.pixels),
        "pitch_hz": one.ear.pitch(),
    }


def happened():
    """All that happened so far."""
    return events


async def leave():
    """Leaves."""
    await room.disconnect()


CALLS = [join, publish, mute, subscribe, watch, happened, leave, say, stream, call, file, push]
CALLS += [publish_data, unpublish_data, transcribe]
asyncio.run(peer.serve({one.__name__: one for one in CALLS}))
