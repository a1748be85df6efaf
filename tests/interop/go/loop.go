package main

import (
	"context"
	"sync/atomic"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4/pkg/media"

	lksdk "github.com/livekit/server-sdk-go/v2"
)

// What the loudness of the tone is about, in -dBov.
const toneLevel = 15

// loop plays samples over and over. The first one is a key frame: who asks for one gets it next.
type loop struct {
	lksdk.BaseSampleProvider
	samples []media.Sample
	next    int
	wanted  atomic.Bool
}

// NextSample is the package's wish for a sample.
func (l *loop) NextSample(context.Context) (media.Sample, error) {
	if l.wanted.Swap(false) {
		l.next = 0
	}
	sample := l.samples[l.next]
	l.next = (l.next + 1) % len(l.samples)
	return sample, nil
}

// CurrentAudioLevel is what the package writes beside each packet of sound.
func (l *loop) CurrentAudioLevel() uint8 {
	return toneLevel
}

func (l *loop) handleRTCP(packet rtcp.Packet) {
	switch packet.(type) {
	case *rtcp.PictureLossIndication, *rtcp.FullIntraRequest:
		l.wanted.Store(true)
	}
}
