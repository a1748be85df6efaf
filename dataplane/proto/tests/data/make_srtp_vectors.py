"""Makes srtp_vectors.txt with libsrtp, by way of PyPI's pylibsrtp: an implementation not ours.

    python3 -m venv /tmp/srtp && /tmp/srtp/bin/pip install pylibsrtp
    /tmp/srtp/bin/python make_srtp_vectors.py > srtp_vectors.txt

Lines: `profile NAME KEY SALT` begins a session of one sender, `rtp ROC PLAIN SEALED` and `rtcp INDEX PLAIN
SEALED` are its packets in the order in which they were sealed. Everything is in hex but ROC and INDEX.
"""

import hashlib
import struct

from pylibsrtp import Policy, Session

PROFILES = [
    ("aes128-gcm", Policy.SRTP_PROFILE_AEAD_AES_128_GCM, 16, 12),
    ("aes256-gcm", Policy.SRTP_PROFILE_AEAD_AES_256_GCM, 32, 12),
    ("aes128-cm-sha1-80", Policy.SRTP_PROFILE_AES128_CM_SHA1_80, 16, 14),
]


def noise(name, length):
    return hashlib.shake_256(name.encode()).digest(length)


def rtp(sequence, ssrc, payload, first=0x80, extra=b""):
    return struct.pack("!BBHII", first, 0x60, sequence, 3000 * sequence, ssrc) + extra + payload


def rtp_packets():
    """(roll-over counter, packet), in an order that wraps, is late and jumps."""
    extension = bytes.fromhex("bede0002") + noise("extension", 8)
    ssrc = 0xCAFEBABE
    for roc, sequence in [(0, 30000), (0, 62000), (0, 65534), (1, 0), (0, 65535), (1, 2), (1, 1)]:
        yield roc, rtp(sequence, ssrc, noise(f"payload {roc} {sequence}", 40 + sequence % 7))
    yield 1, rtp(32000, ssrc, b"")
    yield 1, rtp(64000, ssrc, noise("large", 1188), first=0x90, extra=extension)
    yield 2, rtp(10, ssrc, noise("one", 1), first=0x82, extra=noise("sources", 8))
    padded = noise("padded", 60) + b"\0\0\0\4"
    yield 2, rtp(11, ssrc, padded, first=0xB1, extra=noise("source", 4) + extension)
    yield 0, rtp(7, 0x00000001, noise("another source", 16))
    yield 0, rtp(8, 0xFFFFFFFF, noise("a third", 17))


def rtcp_packets():
    """Sender report, receiver report with a name, PLI, and reports of odd sizes; one SSRC."""
    ssrc = 0xDEADBEEF
    yield struct.pack("!BBHI", 0x80, 200, 6, ssrc) + noise("report", 20)
    name = struct.pack("!BBHI", 0x81, 202, 3, ssrc) + b"\1\5sound\0"
    yield struct.pack("!BBHI", 0x80, 201, 1, ssrc) + name
    yield struct.pack("!BBHII", 0x81, 206, 2, ssrc, 0xCAFEBABE)
    yield struct.pack("!BBHI", 0x80, 201, 1, ssrc)
    yield struct.pack("!BBHI", 0x81, 205, 250, ssrc) + noise("feedback", 996)


def main():
    for name, profile, key_bytes, salt_bytes in PROFILES:
        key, salt = noise(f"{name} key", key_bytes), noise(f"{name} salt", salt_bytes)
        policy = Policy(
            key=key + salt, ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=profile
        )
        policy.window_size = 1024
        policy.allow_repeat_tx = True
        session = Session(policy=policy)
        print("profile", name, key.hex(), salt.hex())
        for roc, packet in rtp_packets():
            print("rtp", roc, packet.hex(), session.protect(packet).hex())
        for index, packet in enumerate(rtcp_packets(), 1):
            print("rtcp", index, packet.hex(), session.protect_rtcp(packet).hex())


main()
