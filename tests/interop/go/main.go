// The unmodified server-sdk-go (pion) as a client of the tests. FFmpeg encodes what it publishes
// and decodes what it subscribes to, because pion does neither.
package main

import "log"

func main() {
	log.SetFlags(0)
	room := newMember()
	serve(map[string]answerer{
		"join":      with(room.join),
		"publish":   with(room.publish),
		"mute":      with(room.mute),
		"unpublish": with(room.unpublish),
		"subscribe": with(room.subscribe),
		"quality":   with(room.quality),
		"enable":    with(room.enable),
		"watch":     with(room.watch),
		"happened":  with(room.happened),
		"say":       with(room.say),
		"stream":    with(room.stream),
		"file":      with(room.file),
		"chat":      with(room.chat),
		"call":      with(room.call),
		"describe":  with(room.describe),
		"permit":    with(room.permit),
		"seen":      with(room.seen),
		"simulate":  with(room.simulate),
		"leave":     with(room.leave),
	})
}
