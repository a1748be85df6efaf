// What getStats measures, in words.

const one = (value, digits = 0) => value.toFixed(digits);

function bitrate(bps) {
  return bps >= 1e6 ? `${one(bps / 1e6, 2)} Mbit/s` : `${one(bps / 1e3)} kbit/s`;
}

/** Growth of counters between two reports, by the name of what is counted. */
class Meter {
  constructor() { this.before = new Map(); }

  rate(name, value, atMs) {
    const old = this.before.get(name);
    this.before.set(name, { value, atMs });
    if (!old || atMs <= old.atMs || value < old.value) return 0;
    return (value - old.value) / ((atMs - old.atMs) / 1000);
  }
}

function roundTripMs(stats) {
  const transport = stats.find(({ type }) => type === 'transport');
  const chosen = transport?.selectedCandidatePairId;
  const pairs = stats.filter(({ type }) => type === 'candidate-pair');
  const pair = pairs.find(({ id, selected, nominated }) => (chosen ? id === chosen
    : selected ?? nominated));
  return pair?.currentRoundTripTime === undefined ? null : pair.currentRoundTripTime * 1000;
}

const codecOf = (stats, { codecId }) => {
  const codec = stats.find(({ id }) => id === codecId);
  return codec?.mimeType?.split('/')[1] ?? '';
};

function figuresOfSender(stats, meter) {
  const outbound = stats.filter(({ type }) => type === 'outbound-rtp');
  const video = outbound.filter(({ kind }) => kind === 'video');
  const [largest] = video.toSorted((a, b) => (b.frameHeight ?? 0) - (a.frameHeight ?? 0));
  const bps = outbound.reduce((sum, { id, bytesSent, timestamp }) => (
    sum + 8 * meter.rate(id, bytesSent, timestamp)), 0);
  const remote = stats.filter(({ type }) => type === 'remote-inbound-rtp');
  const lost = remote.reduce((most, { fractionLost = 0 }) => Math.max(most, fractionLost), 0);
  const codecs = [...new Set(outbound.map((each) => codecOf(stats, each)))].filter(Boolean);
  const rtt = roundTripMs(stats);
  return [
    ['Size', largest?.frameWidth ? `${largest.frameWidth}×${largest.frameHeight}` : '–'],
    ['Frame rate', `${one(largest?.framesPerSecond ?? 0)} fps`],
    ['Bit rate', bitrate(bps)],
    ['Loss', `${one(lost * 100, 1)} %`],
    ['Round trip', rtt === null ? '–' : `${one(rtt)} ms`],
    ['Codecs', codecs.join(', ') || '–'],
  ];
}

function figuresOfReceiver(inbound, stats, meter) {
  const { id, timestamp, bytesReceived = 0, packetsReceived = 0, packetsLost = 0 } = inbound;
  const bps = 8 * meter.rate(`${id}-bytes`, bytesReceived, timestamp);
  const came = meter.rate(`${id}-packets`, packetsReceived, timestamp);
  const lost = meter.rate(`${id}-lost`, Math.max(packetsLost, 0), timestamp);
  const rtt = roundTripMs(stats);
  const common = [
    ['Bit rate', bitrate(bps)],
    ['Loss', `${one(came + lost > 0 ? (100 * lost) / (came + lost) : 0, 1)} %`],
    ['Round trip', rtt === null ? '–' : `${one(rtt)} ms`],
    ['Codec', codecOf(stats, inbound) || '–'],
  ];
  if (inbound.kind === 'audio') return { bps, figures: common };
  return {
    bps,
    figures: [
      ['Size', inbound.frameWidth ? `${inbound.frameWidth}×${inbound.frameHeight}` : '–'],
      ['Frame rate', `${one(inbound.framesPerSecond ?? 0)} fps`],
      ...common,
    ],
  };
}

/** Shows pairs of name and value, touching only what has changed. */
function show(list, figures) {
  figures.forEach((pair, index) => {
    let row = list.children[index];
    if (!row) {
      row = document.createElement('div');
      row.append(document.createElement('dt'), document.createElement('dd'));
      list.append(row);
    }
    pair.forEach((text, part) => {
      if (row.children[part].textContent !== text) row.children[part].textContent = text;
    });
  });
  while (list.children.length > figures.length) list.lastChild.remove();
}
