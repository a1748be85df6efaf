package main

import (
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/webrtc/v4"
)

// Connecting takes a second; a machine that encodes and decodes may take its time.
const connectTimeout = 20 * time.Second

var sources = map[string]livekit.TrackSource{
	"camera":       livekit.TrackSource_CAMERA,
	"microphone":   livekit.TrackSource_MICROPHONE,
	"screen_share": livekit.TrackSource_SCREEN_SHARE,
}

func nameOf(source livekit.TrackSource) string {
	for name, number := range sources {
		if number == source {
			return name
		}
	}
	return ""
}

// event is something that the package told.
type event struct {
	Event string  `json:"event"`
	Who   *string `json:"who"`
	What  any     `json:"what"`
}

// member is somebody in a room.
type member struct {
	room *lksdk.Room

	lock    sync.Mutex
	events  []event
	watched map[watchedKey]*watched
}

func newMember() *member {
	return &member{events: []event{}, watched: map[watchedKey]*watched{}}
}

func (m *member) note(name, who string, what any) {
	m.lock.Lock()
	defer m.lock.Unlock()
	one := event{Event: name, What: what}
	if who != "" {
		one.Who = &who
	}
	m.events = append(m.events, one)
}

// happened is all that was told so far.
func (m *member) happened(nothing) (any, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	return append([]event{}, m.events...), nil
}

type joining struct {
	URL     string
	Token   string
	Single  bool
	Options struct {
		// Names of tracks that are published with the request to join.
		Publish *shown
		// Subscribes to nothing by itself.
		Manual bool
	}
	Connect struct {
		RTCConfig struct{ ICETransportPolicy string }
	}
}

// join joins; "single" chooses between one and two peer connections.
func (m *member) join(with joining) (any, error) {
	m.room = lksdk.NewRoom(m.callbacks())
	options := []lksdk.ConnectOption{
		lksdk.WithConnectTimeout(connectTimeout),
		lksdk.WithAutoSubscribe(!with.Options.Manual),
	}
	if with.Single {
		options = append(options, lksdk.WithSinglePeerConnection())
	}
	if with.Connect.RTCConfig.ICETransportPolicy == "relay" {
		options = append(options, lksdk.WithICETransportPolicy(webrtc.ICETransportPolicyRelay))
	}
	if with.Options.Publish != nil {
		early, err := m.earlyTracks(with.Options.Publish)
		if err != nil {
			return nil, err
		}
		options = append(options, early...)
	}
	m.listen()
	if err := m.room.JoinWithToken(with.URL, with.Token, options...); err != nil {
		return nil, err
	}
	return map[string]any{"identity": m.room.LocalParticipant.Identity()}, nil
}

// callbacks notes what the package tells.
func (m *member) callbacks() *lksdk.RoomCallback {
	about := func(name string) func(lksdk.TrackPublication, lksdk.Participant) {
		return func(one lksdk.TrackPublication, who lksdk.Participant) {
			m.note(name, who.Identity(), nameOf(one.Source()))
		}
	}
	return &lksdk.RoomCallback{
		ParticipantCallback: lksdk.ParticipantCallback{
			OnTrackMuted:      about("TrackMuted"),
			OnTrackUnmuted:    about("TrackUnmuted"),
			OnTrackSubscribed: m.trackSubscribed,
			OnTrackPublished: func(one *lksdk.RemoteTrackPublication, who *lksdk.RemoteParticipant) {
				m.note("TrackPublished", who.Identity(), nameOf(one.Source()))
			},
			OnTrackUnpublished: func(one *lksdk.RemoteTrackPublication, who *lksdk.RemoteParticipant) {
				m.note("TrackUnpublished", who.Identity(), nameOf(one.Source()))
			},
			OnTrackSubscriptionFailed: func(sid string, who *lksdk.RemoteParticipant) {
				m.note("TrackSubscriptionFailed", who.Identity(), sid)
			},
			OnMetadataChanged: func(_ string, who lksdk.Participant) {
				m.note("MetadataChanged", who.Identity(), who.Metadata())
			},
			OnAttributesChanged: func(changed map[string]string, who lksdk.Participant) {
				m.note("AttributesChanged", who.Identity(), changed)
			},
			OnConnectionQualityChanged: func(now *livekit.ConnectionQualityInfo, who lksdk.Participant) {
				m.note("ConnectionQualityChanged", who.Identity(), now.Quality)
			},
			OnDataPacket: m.dataReceived,
		},
		OnParticipantConnected: func(who *lksdk.RemoteParticipant) {
			m.note("ParticipantConnected", who.Identity(), nil)
		},
		OnParticipantDisconnected: func(who *lksdk.RemoteParticipant) {
			m.note("ParticipantDisconnected", who.Identity(), who.DisconnectReason().String())
		},
		OnDisconnectedWithReason: func(lksdk.DisconnectionReason) {
			m.note("Disconnected", "", m.room.DisconnectReason().String())
		},
		OnReconnecting: func() { m.note("Reconnecting", "", nil) },
		OnReconnected:  func() { m.note("Reconnected", "", nil) },
		OnLocalTrackSubscribed: func(one *lksdk.LocalTrackPublication, _ *lksdk.LocalParticipant) {
			m.note("LocalTrackSubscribed", "", nameOf(one.Source()))
		},
		OnActiveSpeakersChanged: func(speakers []lksdk.Participant) {
			names := []string{}
			for _, who := range speakers {
				names = append(names, who.Identity())
			}
			m.note("ActiveSpeakersChanged", "", names)
		},
	}
}

type identified struct{ Identity string }

// seen is what is known of somebody: name, metadata, attributes, tracks.
func (m *member) seen(with identified) (any, error) {
	var who lksdk.Participant = m.room.LocalParticipant
	if with.Identity != m.room.LocalParticipant.Identity() {
		remote := m.room.GetParticipantByIdentity(with.Identity)
		if remote == nil {
			return nil, nil
		}
		who = remote
	}
	tracks, attributes := map[string]any{}, map[string]string{}
	maps.Copy(attributes, who.Attributes())
	for _, one := range who.TrackPublications() {
		tracks[nameOf(one.Source())] = map[string]any{
			"muted": one.IsMuted(), "codec": one.MimeType(), "layers": len(one.TrackInfo().Layers),
		}
	}
	return map[string]any{
		"name":       who.Name(),
		"metadata":   who.Metadata(),
		"attributes": attributes,
		"tracks":     tracks,
	}, nil
}

type description struct {
	Name       *string
	Metadata   *string
	Attributes map[string]string
}

// describe changes what others know of this one.
func (m *member) describe(with description) (any, error) {
	if with.Name != nil {
		m.room.LocalParticipant.SetName(*with.Name)
	}
	if with.Metadata != nil {
		m.room.LocalParticipant.SetMetadata(*with.Metadata)
	}
	if with.Attributes != nil {
		m.room.LocalParticipant.SetAttributes(with.Attributes)
	}
	return nil, nil
}

type permission struct {
	All        bool
	Identities []string
}

// permit says who may subscribe to what this one publishes.
func (m *member) permit(with permission) (any, error) {
	granted := &livekit.SubscriptionPermission{AllParticipants: with.All}
	for _, identity := range with.Identities {
		granted.TrackPermissions = append(granted.TrackPermissions, &livekit.TrackPermission{
			ParticipantIdentity: identity, AllTracks: true,
		})
	}
	m.room.LocalParticipant.SetSubscriptionPermission(granted)
	return nil, nil
}

var scenarios = map[string]lksdk.SimulateScenario{
	"signal-reconnect":     lksdk.SimulateSignalReconnect,
	"speaker":              lksdk.SimulateSpeakerUpdate,
	"migration":            lksdk.SimulateMigration,
	"server-leave":         lksdk.SimulateServerLeave,
	"node-failure":         lksdk.SimulateNodeFailure,
	"leave-full-reconnect": lksdk.SimulateLeaveRequestFullReconnect,
	"force-tls":            lksdk.SimulateForceTLS,
}

// simulate tries one of the package's scenarios.
func (m *member) simulate(with struct{ Scenario string }) (any, error) {
	scenario, known := scenarios[with.Scenario]
	if !known {
		return nil, fmt.Errorf("there is no scenario %q", with.Scenario)
	}
	m.room.Simulate(scenario)
	return nil, nil
}

// leave leaves.
func (m *member) leave(nothing) (any, error) {
	m.room.Disconnect()
	return nil, nil
}

// publicationOf finds what somebody publishes.
func (m *member) publicationOf(identity, source string) (*lksdk.RemoteTrackPublication, error) {
	who := m.room.GetParticipantByIdentity(identity)
	if who == nil {
		return nil, errors.New(identity + " is not in the room")
	}
	one, found := who.GetTrackPublication(sources[source]).(*lksdk.RemoteTrackPublication)
	if !found {
		return nil, errors.New(identity + " does not publish " + source)
	}
	return one, nil
}
