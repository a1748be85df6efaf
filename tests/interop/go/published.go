package main

import (
	"fmt"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// Layers of simulcast: what the size is divided by.
var layers = []struct {
	quality livekit.VideoQuality
	part    int
}{
	{livekit.VideoQuality_LOW, 4},
	{livekit.VideoQuality_MEDIUM, 2},
	{livekit.VideoQuality_HIGH, 1},
}

// publish publishes a colour pattern as the camera and a tone as the microphone.
func (m *member) publish(with shown) (any, error) {
	tracks, err := camera(&with)
	if err != nil {
		return nil, err
	}
	us := m.room.LocalParticipant
	if with.Simulcast {
		_, err = us.PublishSimulcastTrack(tracks, cameraOptions(&with))
	} else {
		_, err = us.PublishTrack(tracks[0], cameraOptions(&with))
	}
	if err != nil {
		return nil, fmt.Errorf("camera: %w", err)
	}
	track, err := microphone(&with)
	if err != nil {
		return nil, err
	}
	_, err = us.PublishTrack(track, microphoneOptions())
	return nil, err
}

// earlyTracks are options of joining that publish the same.
func (m *member) earlyTracks(show *shown) ([]lksdk.ConnectOption, error) {
	tracks, err := camera(show)
	if err != nil {
		return nil, err
	}
	tone, err := microphone(show)
	if err != nil {
		return nil, err
	}
	video := lksdk.WithTrack(tracks[0], cameraOptions(show))
	if show.Simulcast {
		video = lksdk.WithSimulcastTrack(tracks, cameraOptions(show))
	}
	return []lksdk.ConnectOption{video, lksdk.WithTrack(tone, microphoneOptions())}, nil
}

func cameraOptions(show *shown) *lksdk.TrackPublicationOptions {
	return &lksdk.TrackPublicationOptions{
		Name: "pattern", Source: sources["camera"], VideoWidth: show.Width, VideoHeight: show.Height,
	}
}

func microphoneOptions() *lksdk.TrackPublicationOptions {
	return &lksdk.TrackPublicationOptions{Name: "tone", Source: sources["microphone"]}
}

// camera makes one track, or one for each layer.
func camera(show *shown) ([]*lksdk.LocalTrack, error) {
	codec := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90_000}
	if show.Codec == "h264" {
		codec = webrtc.RTPCodecCapability{
			MimeType: webrtc.MimeTypeH264, ClockRate: 90_000,
			SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		}
	}
	if !show.Simulcast {
		track, err := play(show, codec, show.Width, show.Height)
		return []*lksdk.LocalTrack{track}, err
	}
	var tracks []*lksdk.LocalTrack
	for _, one := range layers {
		width, height := show.Width/one.part, show.Height/one.part
		layer := &livekit.VideoLayer{
			Quality: one.quality, Width: uint32(width), Height: uint32(height),
			Bitrate: uint32(width * height * 2),
		}
		track, err := play(show, codec, width, height, lksdk.WithSimulcast("pattern", layer))
		if err != nil {
			return nil, err
		}
		tracks = append(tracks, track)
	}
	return tracks, nil
}

// play makes a track that plays the pattern in a size.
func play(
	show *shown,
	codec webrtc.RTPCodecCapability,
	width, height int,
	options ...lksdk.LocalTrackOptions,
) (*lksdk.LocalTrack, error) {
	samples, err := encodeVideo(show, width, height)
	if err != nil {
		return nil, err
	}
	loop := &loop{samples: samples}
	options = append(options, lksdk.WithRTCPHandler(loop.handleRTCP))
	track, err := lksdk.NewLocalTrack(codec, options...)
	if err != nil {
		return nil, err
	}
	return track, track.StartWrite(loop, nil)
}

// microphone makes a track that plays the tone.
func microphone(show *shown) (*lksdk.LocalTrack, error) {
	samples, err := encodeAudio(show)
	if err != nil {
		return nil, err
	}
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: sampleRate, Channels: 2,
	})
	if err != nil {
		return nil, err
	}
	return track, track.StartWrite(&loop{samples: samples}, nil)
}

// ownOf finds what this one publishes; where it did so while joining, the package tells.
func (m *member) ownOf(source string) (*lksdk.LocalTrackPublication, error) {
	publication := m.room.LocalParticipant.GetTrackPublication(sources[source])
	one, found := publication.(*lksdk.LocalTrackPublication)
	if !found {
		return nil, fmt.Errorf("%s is not published", source)
	}
	return one, nil
}

type muting struct {
	Source string
	Muted  bool
}

// mute mutes or unmutes what this one publishes.
func (m *member) mute(with muting) (any, error) {
	one, err := m.ownOf(with.Source)
	if err == nil {
		one.SetMuted(with.Muted)
	}
	return nil, err
}

// unpublish stops to publish.
func (m *member) unpublish(with muting) (any, error) {
	one, err := m.ownOf(with.Source)
	if err != nil {
		return nil, err
	}
	return nil, m.room.LocalParticipant.UnpublishTrack(one.SID())
}
