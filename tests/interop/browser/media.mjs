// What a tab shows and plays (a pattern of four colours, a tone), and what it sees and hears.

const FRAMES_A_SECOND = 15;

let context;

/** The tab's audio clock; without a sound card Chromium runs it on a timer. */
function audio() {
  context ??= new AudioContext();
  return context;
}

/** A video track of four coloured quarters: `colours` from the top left in reading order. */
export function pattern({ colours, width, height }) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const brush = canvas.getContext('2d');
  let turn = 0;
  const draw = () => {
    colours.forEach(([red, green, blue], quarter) => {
      brush.fillStyle = `rgb(${red} ${green} ${blue})`;
      const x = (quarter % 2) * (width / 2);
      const y = Math.floor(quarter / 2) * (height / 2);
      brush.fillRect(x, y, width / 2, height / 2);
    });
    // Something moves, so that every frame is a new one. It stays clear of where colours are read.
    turn += 1;
    brush.fillStyle = turn % 2 ? 'white' : 'black';
    brush.fillRect(width / 2 - 8, height / 2 - 8, 16, 16);
  };
  draw();
  setInterval(draw, 1000 / FRAMES_A_SECOND);
  return canvas.captureStream(FRAMES_A_SECOND).getVideoTracks()[0];
}

/** An audio track with a sine of `hz`. */
export function tone(hz) {
  const oscillator = new OscillatorNode(audio(), { frequency: hz });
  const output = new MediaStreamAudioDestinationNode(audio());
  oscillator.connect(new GainNode(audio(), { gain: 0.3 })).connect(output);
  oscillator.start();
  return output.stream.getAudioTracks()[0];
}

/** Mean colours of the four quarters of what `video` shows now; null before its first frame. */
export function coloursOf(video) {
  if (!video?.videoWidth) return null;
  const [width, height] = [64, 64];
  const canvas = new OffscreenCanvas(width, height);
  const brush = canvas.getContext('2d', { willReadFrequently: true });
  brush.drawImage(video, 0, 0, width, height);
  return [0, 1, 2, 3].map((quarter) => {
    const x = (quarter % 2) * 32 + 12;
    const y = Math.floor(quarter / 2) * 32 + 12;
    const { data } = brush.getImageData(x, y, 8, 8);
    const sum = [0, 0, 0];
    data.forEach((value, index) => { if (index % 4 < 3) sum[index % 4] += value; });
    return sum.map((total) => Math.round(total / 64));
  });
}

/** Listens to one audio track. */
export class Ear {
  constructor(track) {
    this.analyser = new AnalyserNode(audio(), { fftSize: 8192, smoothingTimeConstant: 0 });
    const mediaStream = new MediaStream([track]);
    this.source = new MediaStreamAudioSourceNode(audio(), { mediaStream });
    this.source.connect(this.analyser);
  }

  /** The loudest pitch now, in Hz; null in silence. */
  pitch() {
    const levels = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(levels);
    const loudest = levels.reduce((best, level, bin) => (level > levels[best] ? bin : best), 0);
    if (!(levels[loudest] > -60)) return null;
    return (loudest * audio().sampleRate) / this.analyser.fftSize;
  }
}

/** What `getStats` says of a receiver, in the words that all clients of these tests use. */
export async function received(receiver) {
  const stats = [...(await receiver.getStats()).values()];
  const find = (type, id) => stats.find((one) => one.type === type && (!id || one.id === id)) ?? {};
  const inbound = find('inbound-rtp');
  const transport = find('transport', inbound.transportId);
  const pair = find('candidate-pair', transport.selectedCandidatePairId);
  return {
    codec: find('codec', inbound.codecId).mimeType ?? null,
    frames: inbound.framesDecoded ?? 0,
    width: inbound.frameWidth ?? 0,
    height: inbound.frameHeight ?? 0,
    packets: inbound.packetsReceived ?? 0,
    lost: inbound.packetsLost ?? 0,
    energy: inbound.totalAudioEnergy ?? 0,
    cipher: transport.srtpCipher ?? null,
    protocol: find('local-candidate', pair.localCandidateId).protocol ?? null,
    checks: pair.requestsReceived ?? 0,
  };
}
