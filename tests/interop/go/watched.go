package main

import (
	"log"
	"sync"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/livekit/server-sdk-go/v2/pkg/samplebuilder"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v4"
)

// Packets that may be missing before a frame is given up.
const maxLate = 200

type watchedKey struct{ identity, source string }

// watched is a subscribed track: its packets are taken as they come.
type watched struct {
	mime string

	lock    sync.Mutex
	packets int
	frames  int
	// Sequence numbers that never came, and packets that came twice.
	gaps, doubles int
	highest       uint16
	decoder       *decoder
}

func (m *member) trackSubscribed(
	track *webrtc.TrackRemote,
	publication *lksdk.RemoteTrackPublication,
	who *lksdk.RemoteParticipant,
) {
	source := nameOf(publication.Source())
	one := &watched{mime: track.Codec().MimeType}
	key := watchedKey{who.Identity(), source}
	m.lock.Lock()
	m.watched[key] = one
	m.lock.Unlock()
	m.note("TrackSubscribed", who.Identity(), source)
	go func() {
		one.take(track)
		m.lock.Lock()
		if m.watched[key] == one {
			delete(m.watched, key)
		}
		m.lock.Unlock()
		m.note("TrackUnsubscribed", who.Identity(), source)
	}()
}

// take reads packets until the track ends.
func (w *watched) take(track *webrtc.TrackRemote) {
	builder := samplebuilder.New(maxLate, depacketizer(w.mime), track.Codec().ClockRate)
	for {
		packet, _, err := track.ReadRTP()
		if err != nil {
			log.Printf("a track of %s ends: %v", w.mime, err)
			w.decoder.close()
			return
		}
		w.count(packet)
		// Padding carries no frame.
		if len(packet.Payload) == 0 {
			continue
		}
		builder.Push(packet)
		for sample := builder.Pop(); sample != nil; sample = builder.Pop() {
			w.decode(sample.Data, sample.PacketTimestamp)
		}
	}
}

func depacketizer(mime string) rtp.Depacketizer {
	switch mime {
	case webrtc.MimeTypeVP8:
		return &codecs.VP8Packet{}
	case webrtc.MimeTypeH264:
		return &codecs.H264Packet{}
	default:
		return &codecs.OpusPacket{}
	}
}

func (w *watched) count(packet *rtp.Packet) {
	w.lock.Lock()
	defer w.lock.Unlock()
	ahead := int16(packet.SequenceNumber - w.highest)
	switch {
	case w.packets == 0 || ahead == 1:
		w.highest = packet.SequenceNumber
	case ahead > 1:
		w.gaps += int(ahead) - 1
		w.highest = packet.SequenceNumber
	case ahead == 0:
		w.doubles++
	default:
		// It came late, after it was taken for lost.
		w.gaps--
	}
	w.packets++
}

// decode gives a frame to the decoder, from the first that needs no other.
func (w *watched) decode(frame []byte, timestamp uint32) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.decoder == nil {
		if width, _ := sizeOf(w.mime, frame); w.mime != webrtc.MimeTypeOpus && width == 0 {
			return
		}
		w.decoder = startDecoder(w.mime)
	}
	w.decoder.decode(frame, timestamp)
	w.frames++
}

// watch is what arrives of a track; nothing without a subscription.
func (m *member) watch(with struct{ Identity, Source string }) (any, error) {
	m.lock.Lock()
	one := m.watched[watchedKey{with.Identity, with.Source}]
	m.lock.Unlock()
	if one == nil {
		return nil, nil
	}
	one.lock.Lock()
	defer one.lock.Unlock()
	seen := one.decoder.seen()
	seen["codec"] = one.mime
	seen["packets"] = one.packets
	seen["lost"] = one.gaps
	seen["doubles"] = one.doubles
	return seen, nil
}

type subscribing struct {
	Identity string
	Source   string
	Wanted   bool
	Quality  string
}

// subscribe subscribes or unsubscribes.
func (m *member) subscribe(with subscribing) (any, error) {
	one, err := m.publicationOf(with.Identity, with.Source)
	if err != nil {
		return nil, err
	}
	return nil, one.SetSubscribed(with.Wanted)
}

// enable lets a subscribed track rest, or flow again.
func (m *member) enable(with subscribing) (any, error) {
	one, err := m.publicationOf(with.Identity, with.Source)
	if err == nil {
		one.SetEnabled(with.Wanted)
	}
	return nil, err
}

// quality asks for a layer by name.
func (m *member) quality(with subscribing) (any, error) {
	one, err := m.publicationOf(with.Identity, with.Source)
	if err != nil {
		return nil, err
	}
	return nil, one.SetVideoQuality(livekit.VideoQuality(livekit.VideoQuality_value[with.Quality]))
}
