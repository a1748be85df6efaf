"""GStreamer's webrtcbin publishes by WHIP. Runs with the system's Python, which has `gi`."""

import asyncio
import sys
import threading
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstSdp, GstWebRTC  # noqa: E402

import peer  # noqa: E402

TIMEOUT_S = 20

session = {}


def description(colours, hz, width, height):
    """The pipeline as text: four solid colours side by side, and a sine."""
    quarters = []
    for quarter, (red, green, blue) in enumerate(colours):
        colour = 0xFF000000 | red << 16 | green << 8 | blue
        quarters.append(
            f"videotestsrc is-live=true pattern=solid-color foreground-color={colour} ! "
            f"video/x-raw,width={width // 2},height={height // 2},framerate=15/1 ! "
            f"mix.sink_{quarter}"
        )
    places = " ".join(
        f"sink_{quarter}::xpos={(quarter % 2) * (width // 2)} "
        f"sink_{quarter}::ypos={quarter // 2 * (height // 2)}"
        for quarter in range(4)
    )
    return (
        "webrtcbin name=rtc bundle-policy=max-bundle "
        f"compositor name=mix background=black {places} ! "
        f"video/x-raw,width={width},height={height},framerate=15/1 ! videoconvert ! "
        "vp8enc deadline=1 cpu-used=8 keyframe-max-dist=30 target-bitrate=800000 ! "
        "rtpvp8pay picture-id-mode=15-bit ! "
        "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000 ! rtc. "
        f"{' '.join(quarters)} "
        f"audiotestsrc is-live=true wave=sine freq={hz} volume=0.3 ! audioconvert ! "
        "audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay ! "
        "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 ! rtc."
    )


def request(method, url, body=None):
    """One HTTP request with the session's token; a bad status raises."""
    headers = {"Authorization": f"Bearer {session['token']}"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    asked = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(asked, timeout=10) as response:
        return response.status, response.headers, response.read().decode()


def promised(emit):
    """The reply to a question that GStreamer answers with a promise."""
    promise = Gst.Promise.new()
    emit(promise)
    promise.wait()
    return promise.get_reply()


def whip(url, token, colours, hz, width, height):
    """Publishes a pattern and a tone by WHIP; candidates are gathered before the offer goes out."""
    Gst.init(None)
    session["token"] = token
    pipeline = Gst.parse_launch(description(colours, hz, width, height))
    rtc = pipeline.get_by_name("rtc")
    session.update(pipeline=pipeline, rtc=rtc)
    ready, gathered = threading.Event(), threading.Event()
    rtc.connect("on-negotiation-needed", lambda _: ready.set())

    def look(element, _):
        state = element.get_property("ice-gathering-state")
        if state == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            gathered.set()

    rtc.connect("notify::ice-gathering-state", look)
    pipeline.set_state(Gst.State.PLAYING)
    assert ready.wait(TIMEOUT_S), "webrtcbin never wanted to negotiate"
    for number in range(2):
        transceiver = rtc.emit("get-transceiver", number)
        transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
    reply = promised(lambda promise: rtc.emit("create-offer", None, promise))
    offer = reply.get_value("offer")
    promised(lambda promise: rtc.emit("set-local-description", offer, promise))
    assert gathered.wait(TIMEOUT_S), "webrtcbin never had all candidates"
    local = rtc.get_property("local-description").sdp.as_text()
    status, headers, answer = request("POST", url, local.encode())
    session["url"] = urllib.parse.urljoin(url, headers["Location"])
    _, parsed = GstSdp.SDPMessage.new_from_text(answer)
    remote = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, parsed)
    promised(lambda promise: rtc.emit("set-remote-description", remote, promise))
    return {"status": status, "location": headers["Location"], "etag": headers.get("ETag")}


def sent():
    """The state of the connection."""
    return {"state": session["rtc"].get_property("connection-state").value_nick, "cipher": None}


def end():
    """Ends the session as the protocol says."""
    status, _, _ = request("DELETE", session["url"])
    session["pipeline"].set_state(Gst.State.NULL)
    return {"status": status}


CALLS = [whip, sent, end]
print(Gst.version_string() if Gst.is_initialized() else "", file=sys.stderr)
asyncio.run(peer.serve({call.__name__: call for call in CALLS}))
