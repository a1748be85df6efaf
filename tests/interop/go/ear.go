package main

import (
	"encoding/binary"
	"math"
	"time"
)

const (
	// Long enough to tell two tones apart by a few hertz.
	heardSamples = sampleRate / 4
	// Pitches are looked for in this range. Every eighth sample is enough for that.
	lowestHz  = 200
	highestHz = 1_600
	stepHz    = 4
	every     = 8
	// Below this it is silence.
	faint = 300
	// A player without a stream plays silence after a moment.
	playedOut = 500 * time.Millisecond
)

// ear keeps the last quarter of a second that it heard.
type ear struct {
	samples []float64
	energy  float64
	last    time.Time
}

// hear takes samples of one channel, 16 bits, little endian.
func (e *ear) hear(bytes []byte) {
	e.last = time.Now()
	for ; len(bytes) >= 2; bytes = bytes[2:] {
		sample := float64(int16(binary.LittleEndian.Uint16(bytes)))
		e.samples = append(e.samples, sample)
		e.energy += sample * sample / (32_768 * 32_768) / sampleRate
	}
	if surplus := len(e.samples) - heardSamples; surplus > 0 {
		e.samples = append([]float64{}, e.samples[surplus:]...)
	}
}

// pitch is the loudest pitch, in Hz; nil in silence.
func (e *ear) pitch() *float64 {
	var heard []float64
	loud := false
	for at := 0; at < len(e.samples); at += every {
		heard = append(heard, e.samples[at])
		loud = loud || math.Abs(e.samples[at]) > faint
	}
	if len(e.samples) < heardSamples || !loud || time.Since(e.last) > playedOut {
		return nil
	}
	var loudest, most float64
	for hz := lowestHz; hz <= highestHz; hz += stepHz {
		found := power(heard, 2*math.Pi*float64(hz)*every/sampleRate)
		if found > most {
			loudest, most = float64(hz), found
		}
	}
	return &loudest
}

// power is how much of the samples, faded in and out, turns by "step" from each to the next.
func power(samples []float64, step float64) float64 {
	var real, imaginary float64
	for at, sample := range samples {
		fade := math.Sin(math.Pi * float64(at) / float64(len(samples)))
		real += sample * fade * fade * math.Cos(float64(at)*step)
		imaginary += sample * fade * fade * math.Sin(float64(at)*step)
	}
	return real*real + imaginary*imaginary
}
