package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/livekit/server-sdk-go/v2/pkg/oggreader"
	"github.com/pion/webrtc/v4/pkg/media"
	"github.com/pion/webrtc/v4/pkg/media/h264reader"
	"github.com/pion/webrtc/v4/pkg/media/ivfreader"
)

const (
	// One second of video is played over and over; it begins with a key frame.
	loopFrames = framesPerSecond
	// Packets of Opus have 20 ms. The first second, in which the encoder settles, is not played.
	opusPackets = 50
)

// encodeVideo is a second of the pattern in a size, one sample for each frame.
func encodeVideo(show *shown, width, height int) ([]media.Sample, error) {
	var raw []byte
	for turn := range loopFrames {
		raw = append(raw, show.picture(width, height, turn)...)
	}
	arguments := []string{
		"-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", fmt.Sprintf("%dx%d", width, height),
		"-framerate", fmt.Sprint(framesPerSecond), "-i", "-", "-pix_fmt", "yuv420p", "-g", "1000",
	}
	if show.Codec == "h264" {
		arguments = append(arguments, "-c:v", "libx264", "-profile:v", "baseline", "-preset",
			"veryfast", "-tune", "zerolatency", "-x264-params", "slices=1:aud=1", "-f", "h264", "-")
	} else {
		arguments = append(arguments, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8",
			"-auto-alt-ref", "0", "-b:v", "500k", "-f", "ivf", "-")
	}
	encoded, err := ffmpeg(raw, arguments...)
	if err != nil {
		return nil, err
	}
	frames, err := splitVP8(encoded)
	if show.Codec == "h264" {
		frames, err = splitH264(encoded)
	}
	if err == nil && len(frames) != loopFrames {
		err = fmt.Errorf("FFmpeg made %d frames of %d", len(frames), loopFrames)
	}
	return samples(frames, time.Second/framesPerSecond), err
}

// encodeAudio is a second of the tone, one sample for each packet.
func encodeAudio(show *shown) ([]media.Sample, error) {
	encoded, err := ffmpeg(show.sound(3),
		"-f", "s16le", "-ar", fmt.Sprint(sampleRate), "-ac", "1", "-i", "-",
		"-c:a", "libopus", "-b:a", "32k", "-frame_duration", "20", "-f", "ogg", "-")
	if err != nil {
		return nil, err
	}
	packets, err := splitOpus(encoded)
	if err != nil || len(packets) < 2*opusPackets {
		return nil, errors.Join(err, fmt.Errorf("FFmpeg made %d packets of Opus", len(packets)))
	}
	return samples(packets[opusPackets:2*opusPackets], 20*time.Millisecond), nil
}

func ffmpeg(input []byte, arguments ...string) ([]byte, error) {
	command := exec.Command("ffmpeg", append([]string{"-nostdin", "-v", "error"}, arguments...)...)
	command.Stdin = bytes.NewReader(input)
	command.Stderr = os.Stderr
	return command.Output()
}

func samples(parts [][]byte, each time.Duration) []media.Sample {
	var all []media.Sample
	for _, data := range parts {
		all = append(all, media.Sample{Data: data, Duration: each})
	}
	return all
}

func splitVP8(file []byte) ([][]byte, error) {
	reader, _, err := ivfreader.NewWith(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return readAll(func() ([]byte, error) {
		frame, _, err := reader.ParseNextFrame()
		return frame, err
	})
}

// splitH264 gives access units in Annex B. Each begins at its delimiter, which is left out.
func splitH264(file []byte) ([][]byte, error) {
	reader, err := h264reader.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	var units [][]byte
	for {
		nal, err := reader.NextNAL()
		if err == io.EOF {
			return units, nil
		}
		if err != nil {
			return nil, err
		}
		if nal.UnitType == h264reader.NalUnitTypeAUD {
			units = append(units, nil)
			continue
		}
		unit := &units[len(units)-1]
		*unit = append(append(*unit, 0, 0, 0, 1), nal.Data...)
	}
}

func splitOpus(file []byte) ([][]byte, error) {
	reader, _, err := oggreader.NewOggReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	return readAll(reader.ReadPacket)
}

func readAll(next func() ([]byte, error)) ([][]byte, error) {
	var parts [][]byte
	for {
		part, err := next()
		if errors.Is(err, io.EOF) {
			return parts, nil
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, bytes.Clone(part))
	}
}
