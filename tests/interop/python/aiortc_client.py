"""aiortc publishes by WHIP and plays by WHEP.

The first argument says what its DTLS certificate is: `ecdsa` (aiortc's own) or `rsa`.
"""

import asyncio
import datetime
import fractions
import sys
import urllib.parse
import urllib.request

import av
import media
import peer
from aiortc import AudioStreamTrack, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcdtlstransport import RTCCertificate
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

session = {}
heard = media.Ear()
watched = {"video": {"frames": 0, "pixels": None}, "audio": {"frames": 0, "pixels": None}}
tasks = set()
channels = {}
utterances_heard = []


class RsaCertificate(RTCCertificate):
    """A certificate with an RSA key. aiortc's own list of ciphers would not serve it."""

    def _create_ssl_context(self, srtp_profiles):
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256")
        return context


def rsa_certificate():
    """What aiortc would make, with an RSA key."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rsa")])
    now = datetime.datetime.now(tz=datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
    )
    return RsaCertificate(key=key, cert=builder.sign(key, hashes.SHA256()))


if sys.argv[1] == "rsa":
    RTCCertificate.generateCertificate = staticmethod(rsa_certificate)


class Pattern(VideoStreamTrack):
    """A video track with the colour pattern."""

    def __init__(self, colours, width, height):
        super().__init__()
        self.picture = (colours, width, height)
        self.turn = 0

    async def recv(self):
        timestamp, base = await self.next_timestamp()
        self.turn += 1
        pixels = media.picture(*self.picture, self.turn // 2)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="yuv420p")
        frame.pts, frame.time_base = timestamp, base
        return frame


class Tone(AudioStreamTrack):
    """An audio track with a sine."""

    def __init__(self, hz):
        super().__init__()
        self.hz = hz
        self.start = 0
        self.begun = None

    async def recv(self):
        count = media.SAMPLE_RATE // 50
        loop = asyncio.get_running_loop()
        self.begun = self.begun or loop.time()
        await asyncio.sleep(self.begun + self.start / media.SAMPLE_RATE - loop.time())
        samples = media.sound(self.hz, self.start, count).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = media.SAMPLE_RATE
        frame.pts, frame.time_base = self.start, fractions.Fraction(1, media.SAMPLE_RATE)
        self.start += count
        return frame


async def request(method, url, body=None):
    """One HTTP request with the session's token; a bad status raises."""
    headers = {"Authorization": f"Bearer {session['token']}"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    asked = urllib.request.Request(url, body, headers, method=method)

    def answer():
        with urllib.request.urlopen(asked, timeout=10) as response:
            return response.status, response.headers, response.read().decode()

    return await asyncio.to_thread(answer)


async def offer(connection, url):
    session["connection"] = connection
    # aiortc gathers everything before it goes on: it never trickles.
    await connection.setLocalDescription(await connection.createOffer())
    sdp = connection.localDescription.sdp
    status, headers, answer = await request("POST", url, sdp.encode())
    session["url"] = urllib.parse.urljoin(url, headers["Location"])
    await connection.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    return {"status": status, "location": headers["Location"], "etag": headers.get("ETag")}


def open_channels(connection, wanted):
    """Opens data channels by name, each with options of its own, before there is an offer."""
    for label, options in (wanted or {}).items():
        channel = channels[label] = connection.createDataChannel(label, **options)

        @channel.on("message")
        def _(message, label=label):
            text = message if isinstance(message, str) else message.decode()
            utterances_heard.append([label, text])


def utter(label, text):
    """Sends text over a data channel; whether that is open."""
    is_open = channels[label].readyState == "open"
    if is_open:
        channels[label].send(text)
    return is_open


def utterances():
    """What came over data channels: their names, and what it says."""
    return utterances_heard


async def whip(url, token, colours, hz, width, height, data=None):
    """Publishes a pattern and a tone by WHIP, with data channels if some are wanted."""
    session["token"] = token
    connection = RTCPeerConnection()
    open_channels(connection, data)
    connection.addTransceiver(Pattern(colours, width, height), direction="sendonly")
    connection.addTransceiver(Tone(hz), direction="sendonly")
    return await offer(connection, url)


async def take(track):
    """Takes the frames of a track as they come, until it ends."""
    seen = watched[track.kind]
    resampler = av.AudioResampler(format="s16", layout="mono", rate=media.SAMPLE_RATE)
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        seen["frames"] += 1
        if track.kind == "video":
            seen["pixels"] = frame.to_ndarray(format="rgb24")
        else:
            for one in resampler.resample(frame):
                heard.hear(one.to_ndarray()[0])


async def whep(url, token, data=None):
    """Plays by WHEP, with data channels if some are wanted."""
    session["token"] = token
    connection = RTCPeerConnection()
    open_channels(connection, data)
    connection.addTransceiver("video", direction="recvonly")
    connection.addTransceiver("audio", direction="recvonly")

    @connection.on("track")
    def _(track):
        task = asyncio.create_task(take(track))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    return await offer(connection, url)


def sent():
    """The state of the connection, and the SRTP profile that was negotiated."""
    connection = session["connection"]
    transport = connection.getTransceivers()[0].sender.transport
    profile = transport._ssl.get_selected_srtp_profile() if transport.state == "connected" else b""
    return {
        "state": connection.connectionState,
        "cipher": profile.decode().removeprefix("SRTP_") or None,
    }


def played(kind):
    """What arrives by WHEP; None while nothing does."""
    seen = watched[kind]
    if not seen["frames"]:
        return None
    pixels = seen["pixels"]
    height, width = (0, 0) if pixels is None else pixels.shape[:2]
    return {
        "frames": seen["frames"],
        "width": width,
        "height": height,
        "energy": heard.energy,
        "colours": None if pixels is None else media.colours_of(pixels),
        "pitch_hz": heard.pitch() if kind == "audio" else None,
    }


async def end():
    """Ends the session as the protocol says."""
    status, _, _ = await request("DELETE", session["url"])
    await session["connection"].close()
    return {"status": status}


CALLS = [whip, whep, sent, played, end, utter, utterances]
asyncio.run(peer.serve({call.__name__: call for call in CALLS}))
