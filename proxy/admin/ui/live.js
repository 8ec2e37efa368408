/* Exchanges as /tap tells them, whatever their number: lines are taken apart in small portions of time, the oldest ones
 * that wait are dropped (and counted), and the table is drawn once in a frame at most, four times a second. */

const LIVE = { kept: 1000, shown: 60, waiting: 20000, portion_ms: 8, pause_ms: 250 };
const live = { lines: [], next: 0, ring: [], n: 0, dropped: 0, lost: 0, paused: false, dirty: true, drawn: 0, table: null };

const ADDED = /^(event|time|id|http)$/;

function describe(record) {
  return [record.peer, record.listener, record.method, record.request, record.status, record.outcome, record.reason,
    record.route, record.target, record.endpoint].join(' ').toLowerCase();
}

/* "-word" must not be in it, others must. */
function makeFilter() {
  const words = $('live-filter').value.toLowerCase().split(/\s+/).filter((word) => word && word !== '-');
  const status = $('live-status').value;
  return (record) => {
    const first = Math.floor((record.status || 0) / 100);
    if (status === 'bad' ? first < 4 : status && first !== Number(status[0])) return false;
    if (words.length === 0) return true;
    record.words = record.words || describe(record);
    return words.every((word) => word[0] === '-' ? !record.words.includes(word.slice(1)) : record.words.includes(word));
  };
}

function take(line) {
  let record;
  try { record = JSON.parse(line); } catch { return; }
  if (record.event === 'lost') {
    live.lost += record.lost || 0;
    return;
  }
  live.n++;
  if (live.paused) return;
  live.ring.push(record);
  if (live.ring.length > 2 * LIVE.kept) live.ring.splice(0, live.ring.length - LIVE.kept);
}

function takeSome() {
  const end = performance.now() + LIVE.portion_ms;
  let i = live.next;
  if (live.lines.length - i > LIVE.waiting) {
    live.dropped += live.lines.length - i - LIVE.waiting;
    i = live.lines.length - LIVE.waiting;
  }
  for (; i < live.lines.length; i++) {
    if (i % 64 === 0 && performance.now() > end) break;
    take(live.lines[i]);
  }
  if (i !== live.next) live.dirty = true;
  live.next = i;
  if (i > 4096 || i === live.lines.length) {
    live.lines.splice(0, i);
    live.next = 0;
  }
}

function tone(record) {
  if (record.event === 'tunnel_begin') return 'good';
  return record.status >= 500 ? 'bad' : record.status >= 400 ? 'warn' : record.status ? 'good' : '';
}

function clock(text) {
  const when = new Date(text);
  if (!text || isNaN(when)) return '–';
  return when.toLocaleTimeString(undefined, { hour12: false }) + '.' + String(when.getMilliseconds()).padStart(3, '0');
}

function timeCell(cell, record) {
  let button = cell.firstChild;
  if (!button || button.nodeName !== 'BUTTON') {
    button = element('button', 'mono');
    button.type = 'button';
    button.addEventListener('click', () => detail(button.record));
    cell.replaceChildren(button);
  }
  button.record = record;
  button.textContent = clock(record.time);
  button.setAttribute('aria-label', 'Everything about the exchange at ' + clock(record.time));
}

function makeLive() {
  live.table = new Table($('live-table'), 'Live exchanges', [
    { name: 'Time', fill: timeCell },
    { name: 'Peer', fill: (cell, row) => row.peer || '–' },
    { name: 'Request', kind: 'mono', fill: (cell, row) => (row.method || row.event || '') + ' ' + (row.request || '') },
    { name: 'Status', fill: (cell, row) => badge(cell, tone(row), row.status || (row.event || '').replace('_', ' ') || '–') },
    { name: 'Took', kind: 'number', fill: (cell, row) => row.total_us === undefined ? null : show.time(row.total_us) },
    { name: 'Sent', kind: 'number', fill: (cell, row) => show.bytes(row.bytes_out) },
    { name: 'Route', fill: (cell, row) => (row.route || '–') + (row.target ? ' → ' + row.target : '') },
    { name: 'Outcome', fill: (cell, row) => row.outcome || row.event || '' },
  ], LIVE.shown, 'Nothing has ended yet, or nothing that the filter lets through.');
}

function draw() {
  const filter = makeFilter(), found = [];
  for (let i = live.ring.length - 1; i >= 0 && found.length < LIVE.shown; i--)
    if (filter(live.ring[i])) found.push(live.ring[i]);
  live.table.fill(found);
  const more = [live.n + ' seen'];
  if (live.lost) more.push(live.lost + ' lost on the way, this page read too slowly');
  if (live.dropped) more.push(live.dropped + ' not looked at, there were too many');
  if (live.paused) more.push('paused');
  $('live-count').textContent = more.join(', ') + (live.trouble ? '. ' + live.trouble : '');
}

function onFrame(now) {
  takeSome();
  /* Who is at a row with the keyboard does not lose it. */
  const held = document.activeElement.matches('#live-table button') || $('detail').open;
  if (live.dirty && !held && now - live.drawn >= LIVE.pause_ms) {
    live.dirty = false;
    live.drawn = now;
    draw();
  }
  requestAnimationFrame(onFrame);
}

function detail(record) {
  const pairs = Object.entries(record).filter(([key, value]) => key !== 'words' && value !== '' && value !== null);
  const place = $('detail-facts');
  place.replaceChildren();
  for (const [key, value] of pairs) {
    const text = key.endsWith('_us') ? show.time(value) : typeof value === 'object' ? JSON.stringify(value, null, 1) : String(value);
    place.append(element('dt', '', key), element('dd', ADDED.test(key) ? 'soft' : 'mono', text));
  }
  $('detail').showModal();
}

/* Reads until it ends; a line that is not whole yet stays. */
async function listen() {
  const answer = await fetch('/tap', { cache: 'no-store' });
  live.missing = answer.status === 404 || answer.status === 403;
  if (!answer.ok) throw new Error(live.missing ? 'this listener has no page "tap"' : '/tap answered ' + answer.status);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  live.trouble = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    if (rest.length > 1 << 20) rest = '';
    for (const line of lines) if (line) live.lines.push(line);
    /* A page in the background has no frames. */
    const waiting = live.lines.length - live.next;
    if (waiting > 4 * LIVE.waiting) {
      live.dropped += waiting - LIVE.waiting;
      live.lines.splice(0, live.lines.length - LIVE.waiting);
      live.next = 0;
    }
  }
}

async function keepListening() {
  for (let pause = 1000; ; pause = Math.min(2 * pause, 30000)) {
    const begun = performance.now();
    try {
      await listen();
      live.trouble = 'The stream has ended, it is asked for again.';
    } catch (error) {
      live.trouble = 'There is no stream: ' + error.message + '.';
    }
    live.dirty = true;
    if (live.missing) return;
    if (performance.now() - begun > 10000) pause = 1000;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

function begin() {
  makeTables();
  makeLive();
  const again = () => { live.dirty = true; live.drawn = 0; };
  $('routes-filter').addEventListener('input', drawRoutes);
  $('live-filter').addEventListener('input', again);
  $('live-status').addEventListener('change', again);
  $('live-pause').addEventListener('click', () => {
    live.paused = !live.paused;
    $('live-pause').setAttribute('aria-pressed', String(live.paused));
    again();
  });
  $('live-clear').addEventListener('click', () => { live.ring = []; live.n = live.dropped = live.lost = 0; again(); });
  requestAnimationFrame(onFrame);
  poll();
  keepListening();
}

begin();
