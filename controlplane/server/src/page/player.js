// What is played: the pictures and sounds of a room.

/** Where one picture of the room is shown. */
class Tile {
  constructor(number) {
    this.figure = document.createElement('figure');
    this.video = document.createElement('video');
    Object.assign(this.video, { muted: true, autoplay: true, playsInline: true });
    this.video.setAttribute('aria-label', `Picture ${number} of the room`);
    this.list = document.createElement('dl');
    this.figure.append(this.video, this.list);
    this.figure.hidden = true;
    this.frames = 0;
    this.changedMs = -Infinity;
    $('tiles').append(this.figure);
  }

  update(inbound, stats, meter) {
    const frames = inbound?.framesDecoded ?? 0;
    const now = performance.now();
    if (frames !== this.frames) this.changedMs = now;
    this.frames = frames;
    this.figure.dataset.frames = frames;
    this.figure.hidden = now - this.changedMs > QUIET_MS;
    if (inbound) show(this.list, figuresOfReceiver(inbound, stats, meter).figures);
    return !this.figure.hidden;
  }

  remove() {
    this.video.srcObject = null;
    this.figure.remove();
  }
}

class Player {
  constructor() {
    this.meter = new Meter();
    this.parts = [];
  }

  /** Asks for pictures and sounds on a new connection. */
  prepare(connection) {
    this.clear();
    for (const kind of ['video', 'audio']) {
      for (let number = 1; number <= SLOTS; number += 1) {
        const { receiver } = connection.addTransceiver(kind, { direction: 'recvonly' });
        const tile = kind === 'video' ? new Tile(number) : null;
        const element = tile?.video ?? new Audio();
        element.srcObject = new MediaStream([receiver.track]);
        if (!tile) element.muted = !this.sounds;
        element.play().catch(() => {});
        this.parts.push({ receiver, tile, element });
      }
    }
  }

  setSounds(on) {
    this.sounds = on;
    for (const { tile, element } of this.parts) {
      if (tile) continue;
      element.muted = !on;
      element.play().catch(() => {});
    }
  }

  async update(connection) {
    const stats = connection ? [...(await connection.getStats()).values()] : [];
    const inbound = stats.filter(({ type }) => type === 'inbound-rtp');
    let [pictures, sounds] = [0, []];
    for (const { receiver, tile } of this.parts) {
      const own = inbound.find(({ trackIdentifier }) => trackIdentifier === receiver.track.id);
      if (tile) {
        pictures += tile.update(own, stats, this.meter) ? 1 : 0;
      } else if (own) {
        const { bps, figures } = figuresOfReceiver(own, stats, this.meter);
        if (bps > 0) sounds.push([`Sound ${sounds.length + 1}`, figures[0][1]]);
      }
    }
    return { pictures, sounds };
  }

  clear() {
    for (const { tile, element } of this.parts) {
      element.srcObject = null;
      tile?.remove();
    }
    this.parts = [];
  }
}
