package main

import (
	"encoding/binary"
	"math"
)

const (
	sampleRate      = 48_000
	framesPerSecond = 15
)

// shown is what somebody publishes (tests/interop/src/show.rs).
type shown struct {
	Colours   [4][3]byte
	Hz        float64
	Width     int
	Height    int
	Codec     string
	Simulcast bool
}

// picture is four coloured quarters, from the top left in reading order, as RGB. "turn" moves a
// dot.
func (s *shown) picture(width, height, turn int) []byte {
	pixels := make([]byte, 0, width*height*3)
	dot := byte(turn%2) * 255
	for y := range height {
		for x := range width {
			if abs(y-height/2) < height/45 && abs(x-width/2) < height/45 {
				pixels = append(pixels, dot, dot, dot)
				continue
			}
			colour := s.Colours[2*(2*y/height)+2*x/width]
			pixels = append(pixels, colour[:]...)
		}
	}
	return pixels
}

func abs(number int) int {
	return max(number, -number)
}

// sound is a sine of one channel as 16 bits, little endian.
func (s *shown) sound(seconds int) []byte {
	samples := make([]byte, 0, seconds*sampleRate*2)
	for at := range seconds * sampleRate {
		value := math.Sin(2*math.Pi*s.Hz*float64(at)/sampleRate) * 10_000
		samples = binary.LittleEndian.AppendUint16(samples, uint16(int16(value)))
	}
	return samples
}

// coloursOf is the mean colours of the four quarters; pixels are RGB.
func coloursOf(pixels []byte, width, height int) [4][3]int {
	var means [4][3]int
	for quarter := range means {
		left, top := quarter%2*(width/2), quarter/2*(height/2)
		var sum [3]int
		count := 0
		for y := top + height/6; y < top+height/3; y++ {
			for x := left + width/6; x < left+width/3; x++ {
				count++
				for channel := range sum {
					sum[channel] += int(pixels[(y*width+x)*3+channel])
				}
			}
		}
		for channel := range sum {
			means[quarter][channel] = sum[channel] / count
		}
	}
	return means
}
