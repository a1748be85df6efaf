package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"sync"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media/oggwriter"
)

const (
	// Pictures are judged in this size, whatever they have.
	judgedWidth  = 160
	judgedHeight = 90
	// Frames that may wait for FFmpeg. Raised: what is seen is old; lowered: a busy machine loses
	// some.
	waitingFrames = 256
)

// decoder is FFmpeg as a child process that gets encoded frames and gives pictures or sound.
type decoder struct {
	mime   string
	frames chan timed

	lock          sync.Mutex
	width, height int
	decoded       int
	colours       *[4][3]int
	ear           ear
}

type timed struct {
	data      []byte
	timestamp uint32
}

func startDecoder(mime string) *decoder {
	d := &decoder{mime: mime, frames: make(chan timed, waitingFrames)}
	// Without these two it waits for seconds of a stream before it begins.
	arguments := []string{"-nostdin", "-v", "error", "-probesize", "32", "-analyzeduration", "0",
		"-f", container(mime), "-i", "-"}
	if mime == webrtc.MimeTypeOpus {
		arguments = append(arguments, "-f", "s16le", "-ar", fmt.Sprint(sampleRate), "-ac", "1", "-")
	} else {
		size := fmt.Sprintf("scale=%d:%d", judgedWidth, judgedHeight)
		arguments = append(arguments, "-vf", size, "-fps_mode", "passthrough", "-f", "rawvideo",
			"-pix_fmt", "rgb24", "-")
	}
	command := exec.Command("ffmpeg", arguments...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	must(err)
	output, err := command.StdoutPipe()
	must(err)
	must(command.Start())
	go d.feed(input)
	go func() {
		d.read(output)
		_ = command.Wait()
	}()
	return d
}

func container(mime string) string {
	switch mime {
	case webrtc.MimeTypeVP8:
		return "ivf"
	case webrtc.MimeTypeH264:
		return "h264"
	default:
		return "ogg"
	}
}

// decode gives it a frame; one that finds no room is lost.
func (d *decoder) decode(frame []byte, timestamp uint32) {
	if width, height := sizeOf(d.mime, frame); width > 0 {
		d.lock.Lock()
		d.width, d.height = width, height
		d.lock.Unlock()
	}
	select {
	case d.frames <- timed{frame, timestamp}:
	default:
		log.Print("FFmpeg is slow: a frame is left out")
	}
}

func (d *decoder) close() {
	if d != nil {
		close(d.frames)
	}
}

// feed writes frames in a container that FFmpeg reads as they come.
func (d *decoder) feed(input io.WriteCloser) {
	defer input.Close()
	write := func(one timed) error { return writeAll(input, one.data) }
	switch d.mime {
	case webrtc.MimeTypeVP8:
		if err := writeAll(input, ivfHeader()); err != nil {
			return
		}
		count := uint64(0)
		write = func(one timed) error {
			head := binary.LittleEndian.AppendUint32(nil, uint32(len(one.data)))
			head = binary.LittleEndian.AppendUint64(head, count)
			count++
			return writeAll(input, head, one.data)
		}
	case webrtc.MimeTypeOpus:
		// Pages of one packet each.
		ogg, err := oggwriter.NewWith(input, sampleRate, 2)
		if err != nil {
			return
		}
		write = func(one timed) error {
			header := rtp.Header{Timestamp: one.timestamp}
			return ogg.WriteRTP(&rtp.Packet{Header: header, Payload: one.data})
		}
	}
	for one := range d.frames {
		if err := write(one); err != nil {
			log.Printf("FFmpeg takes no more of %s: %v", d.mime, err)
			return
		}
	}
}

func writeAll(output io.Writer, parts ...[]byte) error {
	for _, part := range parts {
		if _, err := output.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// ivfHeader is the head of a file of VP8; the size in it counts for nothing.
func ivfHeader() []byte {
	head := append([]byte("DKIF"), 0, 0, 32, 0)
	head = append(head, "VP80"...)
	for _, size := range []uint16{judgedWidth, judgedHeight} {
		head = binary.LittleEndian.AppendUint16(head, size)
	}
	for _, number := range []uint32{framesPerSecond, 1, 0, 0} {
		head = binary.LittleEndian.AppendUint32(head, number)
	}
	return head
}

// read takes what was decoded until there is no more.
func (d *decoder) read(output io.Reader) {
	block := make([]byte, judgedWidth*judgedHeight*3)
	if d.mime == webrtc.MimeTypeOpus {
		block = make([]byte, sampleRate/50*2)
	}
	for {
		if _, err := io.ReadFull(output, block); err != nil {
			return
		}
		d.lock.Lock()
		d.decoded++
		if d.mime == webrtc.MimeTypeOpus {
			d.ear.hear(block)
		} else {
			colours := coloursOf(block, judgedWidth, judgedHeight)
			d.colours = &colours
		}
		d.lock.Unlock()
	}
}

// seen is what was decoded so far (tests/interop/src/show.rs).
func (d *decoder) seen() map[string]any {
	if d == nil {
		return map[string]any{"frames": 0}
	}
	d.lock.Lock()
	defer d.lock.Unlock()
	return map[string]any{
		"frames":   d.decoded,
		"width":    d.width,
		"height":   d.height,
		"colours":  d.colours,
		"energy":   d.ear.energy,
		"pitch_hz": d.ear.pitch(),
	}
}
