package main

import (
	"bytes"
	"encoding/binary"

	"github.com/livekit/mediatransportutil/pkg/codec"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
)

// sizeOf is the size that a key frame names; zero for other frames.
func sizeOf(mime string, frame []byte) (width, height int) {
	switch mime {
	case webrtc.MimeTypeVP8:
		return sizeOfVP8(frame)
	case webrtc.MimeTypeH264:
		return sizeOfH264(frame)
	}
	return 0, 0
}

func sizeOfVP8(frame []byte) (width, height int) {
	// RFC 6386 9.1: the lowest bit is 0 in a key frame, whose size follows the start code.
	if len(frame) < 10 || frame[0]&1 != 0 {
		return 0, 0
	}
	size := func(at int) int { return int(binary.LittleEndian.Uint16(frame[at:]) & 0x3fff) }
	return size(6), size(8)
}

// sizeOfH264 looks into the parameter sets of an access unit.
func sizeOfH264(frame []byte) (width, height int) {
	reader, err := h264reader.NewReader(bytes.NewReader(frame))
	if err != nil {
		return 0, 0
	}
	for {
		nal, err := reader.NextNAL()
		if err != nil {
			return 0, 0
		}
		if nal.UnitType == h264reader.NalUnitTypeSPS {
			size := codec.ExtractH264VideoSize(nal.Data)
			return int(size.Width), int(size.Height)
		}
	}
}
