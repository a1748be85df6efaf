// What is sent: the camera, or a pattern and a tone.

let audio;

function tone() {
  audio ??= new AudioContext();
  audio.resume();
  const oscillator = new OscillatorNode(audio, { frequency: 440 });
  const output = new MediaStreamAudioDestinationNode(audio);
  oscillator.connect(new GainNode(audio, { gain: 0.1 })).connect(output);
  oscillator.start();
  const [track] = output.stream.getAudioTracks();
  return { track, stop: () => oscillator.stop() };
}

function pattern(words) {
  const [width, height] = [1280, 720];
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const brush = canvas.getContext('2d', { alpha: false });
  const bars = ['#e8e8e8', '#d8c62e', '#38c4c9', '#3fbf52', '#c04fc4', '#cf3f45', '#3a55d9'];
  const text = (line, size, y, weight = 600) => {
    brush.font = `${weight} ${size}px system-ui, sans-serif`;
    brush.fillText(line, width / 2, y, width - 120);
  };
  const draw = () => {
    const now = new Date();
    const part = (now.getTime() % 4000) / 4000;
    bars.forEach((colour, index) => {
      brush.fillStyle = colour;
      brush.fillRect(Math.floor((index * width) / 7), 0, Math.ceil(width / 7), height - 200);
    });
    brush.fillStyle = '#12141d';
    brush.fillRect(0, height - 200, width, 200);
    brush.fillStyle = '#8b9bff';
    brush.fillRect(0, height - 206, width * part, 6);
    brush.lineWidth = 26;
    brush.strokeStyle = '#12141d';
    brush.beginPath();
    brush.arc(width / 2, 260, 130, 0, 2 * Math.PI);
    brush.stroke();
    brush.strokeStyle = '#fff';
    brush.beginPath();
    brush.arc(width / 2, 260, 130, 2 * Math.PI * part - 1.2, 2 * Math.PI * part);
    brush.stroke();
    brush.textAlign = 'center';
    brush.fillStyle = '#fff';
    text(now.toISOString().slice(11, 23), 72, height - 100, 700);
    brush.fillStyle = '#a0a7bd';
    text(words, 36, height - 36);
  };
  draw();
  const timer = setInterval(draw, 1000 / 30);
  const [track] = canvas.captureStream(30).getVideoTracks();
  return { track, stop: () => clearInterval(timer) };
}

function patternAndTone(words) {
  const parts = [pattern(words), tone()];
  const stream = new MediaStream(parts.map(({ track }) => track));
  return { stream, stop: () => parts.forEach((part) => { part.stop(); part.track.stop(); }) };
}

async function camera() {
  const video = { width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 30 } };
  const devices = navigator.mediaDevices;
  let note = '';
  const withoutSound = () => devices.getUserMedia({ video }).then((stream) => {
    note = 'There is no microphone to use: only the picture is sent.';
    return stream;
  });
  const stream = await devices.getUserMedia({ video, audio: true }).catch((error) => {
    if (error.name === 'NotAllowedError') throw error;
    return withoutSound();
  });
  return { stream, note, stop: () => stream.getTracks().forEach((track) => track.stop()) };
}

/** The camera if wanted and possible, else the pattern and a note why. */
async function openSource(wanted, words) {
  if (wanted === 'pattern') return patternAndTone(words);
  try {
    return await camera();
  } catch (error) {
    const why = {
      NotAllowedError: 'The browser may not use the camera. Allow it beside the address, then go '
        + 'live again.',
      NotFoundError: 'No camera was found.',
      NotReadableError: 'Another program uses the camera.',
    };
    const note = `${why[error.name] ?? 'The camera does not start.'} The test pattern is sent.`;
    return { ...patternAndTone(words), note };
  }
}
