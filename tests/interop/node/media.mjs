// What a client shows and plays (a pattern of four colours, a tone), and what it sees and hears.

export const SAMPLE_RATE = 48_000;
export const FRAMES_A_SECOND = 15;

// Long enough to tell two tones apart by a few hertz.
const HEARD_SAMPLES = SAMPLE_RATE / 4;

// Pitches are looked for in this range. Every eighth sample is enough for that, and far less work.
const LOWEST_HZ = 200;
const HIGHEST_HZ = 1_600;
const STEP_HZ = 4;
const EVERY = 8;

/** Four coloured quarters, from the top left in reading order, as RGBA. `turn` moves a dot. */
export function picture(colours, width, height, turn) {
  const pixels = new Uint32Array(width * height);
  const bytes = new Uint8Array(pixels.buffer);
  const packed = [...colours, turn % 2 ? [255, 255, 255] : [0, 0, 0]].map(([red, green, blue]) =>
    new Uint32Array(Uint8Array.of(red, green, blue, 255).buffer)[0]);
  for (let y = 0; y < height; y += 1) {
    const [left, row] = [y < height / 2 ? 0 : 2, y * width];
    pixels.fill(packed[left], row, row + width / 2);
    pixels.fill(packed[left + 1], row + width / 2, row + width);
    if (Math.abs(y - height / 2) < 8) {
      pixels.fill(packed[4], row + width / 2 - 8, row + width / 2 + 8);
    }
  }
  return bytes;
}

/** `count` samples of a sine from sample `start` on, one channel. */
export function sound(hz, start, count) {
  const step = (2 * Math.PI * hz) / SAMPLE_RATE;
  return Int16Array.from({ length: count }, (_, at) => Math.sin((start + at) * step) * 10_000);
}

/** Mean colours of the four quarters; `pixels` are RGBA. */
export function coloursOf(pixels, width, height) {
  return [0, 1, 2, 3].map((quarter) => {
    const [right, low] = [(quarter % 2) * (width / 2), Math.floor(quarter / 2) * (height / 2)];
    const sum = [0, 0, 0];
    let count = 0;
    for (let y = Math.ceil(low + height / 6); y < low + height / 3; y += 2) {
      for (let x = Math.ceil(right + width / 6); x < right + width / 3; x += 2) {
        count += 1;
        for (const channel of sum.keys()) sum[channel] += pixels[(y * width + x) * 4 + channel];
      }
    }
    return sum.map((total) => Math.round(total / count));
  });
}

/** Keeps the last quarter of a second that it heard. */
export class Ear {
  samples = new Int16Array(HEARD_SAMPLES);
  energy = 0;

  /** Takes samples of one channel, fewer than it keeps. */
  hear(samples) {
    this.samples.copyWithin(0, samples.length);
    this.samples.set(samples, HEARD_SAMPLES - samples.length);
    this.energy += samples.reduce((sum, one) => sum + (one / 32_768) ** 2, 0) / SAMPLE_RATE;
  }

  /** The loudest pitch, in Hz; null in silence. */
  pitch() {
    const heard = this.samples.filter((_, at) => at % EVERY === 0);
    if (!heard.some((one) => Math.abs(one) > 300)) return null;
    let [loudest, most] = [null, 0];
    for (let hz = LOWEST_HZ; hz <= HIGHEST_HZ; hz += STEP_HZ) {
      const found = power(heard, (2 * Math.PI * hz * EVERY) / SAMPLE_RATE);
      if (found > most) [loudest, most] = [hz, found];
    }
    return loudest;
  }
}

/** How much of `samples`, faded in and out, turns by `step` from each to the next. */
function power(samples, step) {
  let [real, imaginary] = [0, 0];
  samples.forEach((sample, at) => {
    const faded = sample * Math.sin((Math.PI * at) / samples.length) ** 2;
    real += faded * Math.cos(at * step);
    imaginary += faded * Math.sin(at * step);
  });
  return real * real + imaginary * imaginary;
}
