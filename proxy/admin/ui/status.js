/* What /status and /clients say, every two seconds; rates are differences. What cannot be read stays as it was, and that
 * is said. */

const PERIOD_MS = 2000;
const past = new History();
let before; /* { at, counts } of the last status: counters by key */
let pid; /* another one begins anew */

/* Per second since the last status, undefined at first and after a restart. */
function rateOf(now, key, count) {
  if (count === undefined || count === null) return undefined;
  now.counts.set(key, count);
  const old = before && before.counts.get(key);
  return old === undefined || count < old ? undefined : (count - old) / ((now.at - before.at) / 1000);
}

function octal(mode) { return typeof mode === 'number' ? '0' + mode.toString(8) : mode; }

function usage(count, limit) { return count === undefined ? null : limit ? count + ' of ' + limit : String(count); }

const tables = {};

function makeTables() {
  tables.listeners = new Table($('listeners-table'), 'Listeners', [
    { name: 'Name', kind: 'strong', fill: (cell, row) => row.name },
    { name: 'State', fill: (cell, row) => badge(cell, row.up ? 'good' : 'bad', row.up ? 'up' : 'not there') },
    { name: 'Address', kind: 'mono', fill: (cell, row) => row.bind },
    { name: 'Kind', fill: (cell, row) => row.kind },
    { name: 'Mode', kind: 'mono', fill: (cell, row) => octal(row.mode) ?? null },
    { name: 'Owner', fill: (cell, row) => row.owner === undefined ? null : row.owner + ':' + row.group },
    { name: 'Who may come', fill: (cell, row) => row.peers ?? null },
    { name: 'Connections', kind: 'number', fill: (cell, row) => usage(row.connections, row.limit) },
    { name: 'Refused', kind: 'number', fill: (cell, row) => row.refused === undefined ? null : show.number(row.refused) },
    { name: 'Tunnels', kind: 'number', fill: (cell, row) => row.tunnels === undefined ? null : show.number(row.tunnels) },
    { name: 'Requests', kind: 'spark-cell', fill: (cell, row) => row.rates ? sparkCell(cell, row.rates, show.rate(row.rate)) : null },
  ], 256, 'There is none.');
  tables.routes = new Table($('routes-table'), 'Routes', [
    { name: 'Listener', fill: (cell, row) => row.listener },
    { name: 'Route', kind: 'strong', fill: (cell, row) => row.name },
    { name: 'Action', fill: (cell, row) => row.action === 'target' ? '→ ' + row.target : row.action },
    { name: 'Rate', fill: (cell, row) => row.requests === undefined ? null : sparkCell(cell, row.rates, show.rate(row.rate)) },
    { name: 'Errors', fill: (cell, row) => row.errors === undefined ? null : sparkCell(cell, row.errorRates, show.rate(row.errorRate), 'bad') },
    { name: 'p50', kind: 'number', fill: (cell, row) => row.p50_us === undefined ? null : show.time(row.p50_us) },
    { name: 'p99', fill: (cell, row) => row.p99_us === undefined ? null : sparkCell(cell, row.slowest, show.time(row.p99_us)) },
    { name: 'Requests', kind: 'number', fill: (cell, row) => row.requests === undefined ? null : show.number(row.requests) },
    { name: 'Refused', kind: 'number', fill: (cell, row) => row.refused === undefined ? null : show.number(row.refused) },
    { name: 'In', kind: 'number', fill: (cell, row) => row.bytes_in === undefined ? null : show.bytes(row.bytes_in) },
    { name: 'Out', kind: 'number', fill: (cell, row) => row.bytes_out === undefined ? null : show.bytes(row.bytes_out) },
  ], 200, 'No route has this in its name.');
  tables.targets = new Table($('targets-table'), 'Targets', [
    { name: 'Target', kind: 'strong', fill: (cell, row) => row.target },
    { name: 'Health', fill: (cell, row) => row.state === undefined ? null : badge(cell, { good: 'good', ejected: 'warn', down: 'bad' }[row.state] || '', row.state, row.reason) },
    { name: 'Endpoint', kind: 'mono', fill: (cell, row) => row.address },
    { name: 'Why', fill: (cell, row) => row.reason || '' },
    { name: 'Balance', fill: (cell, row) => row.balance },
    { name: 'Weight', kind: 'number', fill: (cell, row) => row.weight ?? null },
    { name: 'Open', kind: 'number', fill: (cell, row) => usage(row.open, row.max) },
    { name: 'Idle', kind: 'number', fill: (cell, row) => row.idle ?? null },
    { name: 'Waiting', kind: 'number', fill: (cell, row) => row.waiting ?? null },
    { name: 'Requests', kind: 'number', fill: (cell, row) => row.requests === undefined ? null : show.number(row.requests) },
    { name: 'p50', kind: 'number', fill: (cell, row) => row.p50_us === undefined ? null : show.time(row.p50_us) },
  ], 256, 'There is none: porthole answers everything itself.');
  tables.clients = new Table($('clients-table'), 'Clients', [
    { name: 'Listener', fill: (cell, row) => row.listener },
    { name: 'Peer', kind: 'strong', fill: (cell, row) => row.peer },
    { name: 'State', fill: (cell, row) => badge(cell, row.state === 'exchange' ? 'good' : row.state === 'tunnel' ? 'warn' : '', row.state) },
    { name: 'Request', kind: 'mono', fill: (cell, row) => row.request ? (row.method || '') + ' ' + row.request : '' },
    { name: 'Route', fill: (cell, row) => row.route || '' },
    { name: 'For', kind: 'number', fill: (cell, row) => row.age_us === undefined ? null : show.time(row.age_us) },
    { name: 'In', kind: 'number', fill: (cell, row) => show.bytes(row.bytes_in) },
    { name: 'Out', kind: 'number', fill: (cell, row) => show.bytes(row.bytes_out) },
    { name: 'Since', fill: (cell, row) => show.moment(row.since) },
  ], 100, 'Nobody is connected.');
}

function drawRoutes() {
  const wanted = $('routes-filter').value.toLowerCase();
  tables.routes.fill((tables.routeRows || []).filter((row) =>
    (row.listener + ' ' + row.name + ' ' + (row.target || row.action)).toLowerCase().includes(wanted)));
}

function sum(rows, key) {
  const known = rows.filter((row) => typeof row[key] === 'number');
  return known.length ? known.reduce((total, row) => total + row[key], 0) : undefined;
}

function tile(name, value, text) {
  $('tile-' + name).textContent = text;
  spark($('spark-' + name), past.push('tile ' + name, value));
}

function drawTiles(status, now) {
  const served = status.listeners.filter((listener) => listener.kind !== 'admin');
  const rate = rateOf(now, 'requests', sum(served, 'requests') ?? sum(status.routes, 'requests'));
  const errors = rateOf(now, 'errors', sum(served, 'errors') ?? sum(status.routes, 'errors'));
  const flight = sum(served, 'in_flight'), connections = sum(served, 'connections');
  tile('rate', rate, show.rate(rate));
  tile('errors', errors, show.rate(errors));
  $('tile-errors').classList.toggle('is-bad', errors > 0);
  tile('flight', flight, show.number(flight));
  tile('connections', connections, show.number(connections));
}

function drawHead(status) {
  const ready = status.ready;
  const state = $('state'), text = status.state === 'serving' ? (ready ? 'ready' : 'not ready') : status.state;
  if (state.textContent !== text) state.textContent = text;
  state.className = 'badge ' + (status.state !== 'serving' ? 'warn' : ready ? 'good' : 'bad');
  facts($('facts'), [['version', status.version], ['process', status.pid], ['up', show.span(status.uptime_s)],
    ['workers', status.workers], ['lost log lines', status.logs && status.logs.dropped ? status.logs.dropped : undefined]]);
  const reasons = status.reasons || [];
  $('reasons').hidden = reasons.length === 0;
  $('reasons').replaceChildren(...reasons.map((reason) => element('li', '', reason)));
  document.title = (text === 'ready' ? '' : text + ' – ') + 'porthole';
}

function drawConfiguration(config) {
  const reload = config.reload || {}, errors = reload.errors || [];
  facts($('configuration-facts'), [['file', config.file], ['SHA-256', config.sha256 && config.sha256.slice(0, 16) + '…'],
    ['in effect since', show.moment(config.loaded)],
    ['last reload', reload.state === 'none' ? 'none yet' : reload.state + ', ' + show.moment(reload.at)], ['reloads', reload.total]]);
  $('reload-errors').hidden = reload.state !== 'failed';
  const lines = errors.join('\n'), place = $('reload-errors').querySelector('pre');
  if (place.textContent !== lines) place.textContent = lines;
}

/* What has a rate gets it, and its last minutes. */
function follow(row, now, key) {
  row.rate = rateOf(now, key + ' requests', row.requests);
  row.rates = past.push(key + ' requests', row.rate);
  row.errorRate = rateOf(now, key + ' errors', row.errors);
  row.errorRates = past.push(key + ' errors', row.errorRate);
  row.slowest = past.push(key + ' p99', row.p99_us);
  return row;
}

function drawStatus(status) {
  const now = { at: performance.now(), counts: new Map() };
  if (pid !== status.pid) before = undefined;
  pid = status.pid;
  drawHead(status);
  drawConfiguration(status.config || {});
  drawTiles(status, now);
  for (const row of status.listeners) follow(row, now, 'listener ' + row.name);
  tables.listeners.fill(status.listeners.map((row) => row.requests === undefined ? { ...row, rates: undefined } : row));
  tables.routeRows = status.routes.map((row, i) => follow(row, now, ['route', row.listener, row.name, row.name ? '' : i].join(' ')));
  drawRoutes();
  tables.targets.fill(status.targets.flatMap((target) => target.endpoints.map((endpoint) =>
    ({ ...endpoint, target: target.name, balance: target.balance, max: target.max, waiting: target.waiting }))));
  past.sweep();
  before = now;
}

function tellTrouble(text) {
  const place = $('trouble');
  if (place.textContent !== text) place.textContent = text;
  place.hidden = text === '';
}

function ask(path) { return fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(10000) }); }

async function read(path) {
  const answer = await ask(path);
  if (!answer.ok) throw new Error(path + ' answered ' + answer.status);
  return answer.json();
}

/* A listener may have other pages than these: what is not there is not asked for again. */
let noClients = false;
async function readClients() {
  if (noClients) return;
  const answer = await ask('/clients');
  noClients = answer.status === 404 || answer.status === 403;
  if (noClients) $('clients').hidden = true;
  if (!answer.ok) return;
  const found = await answer.json();
  tables.clients.fill(found.clients, found.omitted);
}

async function poll() {
  if (!document.hidden) {
    try {
      drawStatus(await read('/status'));
      await readClients();
      tellTrouble('');
    } catch (error) {
      tellTrouble('This may be out of date: ' + (error.name === 'TypeError' ? 'porthole does not answer' : error.message));
      $('state').textContent = 'unknown';
      $('state').className = 'badge warn';
    }
  }
  setTimeout(poll, PERIOD_MS);
}
