"""What a client shows and plays (a pattern of four colours, a tone), and what it sees and hears."""

import numpy

SAMPLE_RATE = 48_000
FRAMES_A_SECOND = 15

# Long enough to tell two tones apart by a few hertz.
HEARD_SAMPLES = SAMPLE_RATE // 4


def picture(colours, width, height, turn):
    """Four coloured quarters, from the top left in reading order, as RGBA. `turn` moves a dot."""
    pixels = numpy.full((height, width, 4), 255, dtype=numpy.uint8)
    for quarter, colour in enumerate(colours):
        y, x = (quarter // 2) * (height // 2), (quarter % 2) * (width // 2)
        pixels[y : y + height // 2, x : x + width // 2, :3] = colour
    middle = (slice(height // 2 - 8, height // 2 + 8), slice(width // 2 - 8, width // 2 + 8))
    pixels[middle] = 255 if turn % 2 else 0
    return pixels


def sound(hz, start, count):
    """`count` samples of a sine from sample `start` on, one channel."""
    angles = numpy.arange(start, start + count) * (2 * numpy.pi * hz / SAMPLE_RATE)
    return (numpy.sin(angles) * 10_000).astype(numpy.int16)


def colours_of(pixels):
    """Mean colours of the four quarters; `pixels` are rows of at least three channels."""
    height, width = pixels.shape[:2]
    means = []
    for quarter in range(4):
        y, x = (quarter // 2) * (height // 2), (quarter % 2) * (width // 2)
        inner = pixels[
            y + height // 6 : y + height // 3, x + width // 6 : x + width // 3, :3
        ]
        means.append([round(float(mean)) for mean in inner.mean(axis=(0, 1))])
    return means


class Ear:
    """Keeps the last quarter of a second that it heard."""

    def __init__(self):
        self.samples = numpy.zeros(0, dtype=numpy.int16)
        self.energy = 0.0

    def hear(self, samples):
        """Takes samples of one channel."""
        self.samples = numpy.concatenate([self.samples, samples])[-HEARD_SAMPLES:]
        scaled = samples.astype(numpy.float64) / 32768
        self.energy += float((scaled * scaled).sum()) / SAMPLE_RATE

    def pitch(self):
        """The loudest pitch, in Hz; None in silence."""
        samples = self.samples
        if len(samples) < HEARD_SAMPLES or numpy.abs(samples).max() < 300:
            return None
        windowed = samples * numpy.hanning(len(samples))
        loudest = int(numpy.abs(numpy.fft.rfft(windowed)).argmax())
        return loudest * SAMPLE_RATE / len(samples)
