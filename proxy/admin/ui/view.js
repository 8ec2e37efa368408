'use strict';
/* What is shown, from what was read: nothing here is made of HTML text, whatever a peer has sent. */

const $ = (id) => document.getElementById(id);

function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function svg(name, attributes) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  return made;
}

const show = {
  number(n) {
    if (n === undefined || n === null) return '–';
    for (const [size, unit] of [[1e9, ' G'], [1e6, ' M'], [1e4, ' k']])
      if (n >= size) return (n / (unit === ' k' ? 1e3 : size)).toFixed(1) + unit;
    return String(Math.round(n * 10) / 10);
  },
  rate(n) { return n === undefined ? '–' : show.number(n < 10 ? Math.round(n * 10) / 10 : Math.round(n)) + '/s'; },
  bytes(n) {
    if (n === undefined || n === null) return '–';
    for (const [size, unit] of [[2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']])
      if (n >= size) return (n / size).toFixed(1) + ' ' + unit;
    return n + ' B';
  },
  time(us) {
    if (us === undefined || us === null) return '–';
    if (us < 1e3) return Math.round(us) + ' µs';
    if (us < 1e6) return (us / 1e3).toFixed(us < 1e4 ? 1 : 0) + ' ms';
    if (us < 6e7) return (us / 1e6).toFixed(1) + ' s';
    return show.span(us / 1e6);
  },
  span(s) {
    s = Math.floor(s);
    if (s < 60) return s + ' s';
    if (s < 3600) return Math.floor(s / 60) + ' min ' + (s % 60) + ' s';
    if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor((s % 3600) / 60) + ' min';
    return Math.floor(s / 86400) + ' d ' + Math.floor((s % 86400) / 3600) + ' h';
  },
  moment(text) {
    const when = new Date(text);
    return !text || isNaN(when) ? '–' : when.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
  },
};

/* A line of the last values, 100 wide and 30 high whatever its place is. */
const POINTS = 60;
function spark(place, values) {
  if (!place.firstChild) {
    place.setAttribute('viewBox', '0 0 100 30');
    place.setAttribute('preserveAspectRatio', 'none');
    place.append(svg('path', { class: 'area' }), svg('path', {}));
  }
  const most = Math.max(...values, 1e-9);
  const points = values.map((value, i) => (100 - (values.length - 1 - i) * 100 / (POINTS - 1)).toFixed(1) + ' ' +
    (29 - value / most * 28).toFixed(1));
  const line = points.length > 1 ? 'M' + points.join('L') : '';
  place.lastChild.setAttribute('d', line);
  place.firstChild.setAttribute('d', line && line + 'L100 30L' + points[0].split(' ')[0] + ' 30Z');
}

/* Values of the last minutes by name; what is not there any more is forgotten. */
class History {
  constructor() { this.rows = new Map(); this.touched = new Set(); }
  push(key, value) {
    const row = this.rows.get(key) || [];
    if (!this.rows.has(key)) this.rows.set(key, row);
    this.touched.add(key);
    if (value !== undefined && value !== null) row.push(value);
    if (row.length > POINTS) row.shift();
    return row;
  }
  sweep() {
    for (const key of this.rows.keys()) if (!this.touched.has(key)) this.rows.delete(key);
    this.touched.clear();
  }
}

/* A table whose rows are kept and refilled. A column: { name, kind, fill(cell, row) }, fill returning a text or filling
 * the cell itself. Roles are said, since a narrow page shows rows as blocks. */
class Table {
  constructor(place, label, columns, most, empty) {
    this.columns = columns;
    this.most = most;
    this.table = element('table');
    this.table.setAttribute('role', 'table');
    this.table.setAttribute('aria-label', label);
    const head = element('thead'), line = element('tr');
    head.setAttribute('role', 'rowgroup');
    line.setAttribute('role', 'row');
    for (const column of columns) {
      const cell = element('th', column.kind === 'number' ? 'number' : '', column.name);
      cell.scope = 'col';
      cell.setAttribute('role', 'columnheader');
      line.append(cell);
    }
    head.append(line);
    this.body = element('tbody');
    this.body.setAttribute('role', 'rowgroup');
    this.table.append(head, this.body);
    this.empty = element('p', 'empty', empty);
    this.rest = element('p', 'empty');
    this.rest.hidden = true;
    place.append(this.table, this.empty, this.rest);
    this.fill([]);
  }
  add() {
    const line = element('tr');
    line.setAttribute('role', 'row');
    for (const column of this.columns) {
      const cell = element('td', column.kind || '');
      cell.dataset.label = column.name;
      cell.setAttribute('role', 'cell');
      line.append(cell);
    }
    this.body.append(line);
  }
  fill(rows, more) {
    const n = Math.min(rows.length, this.most), left = rows.length - n + (more || 0);
    while (this.body.rows.length < n) this.add();
    while (this.body.rows.length > n) this.body.lastChild.remove();
    for (let i = 0; i < n; i++)
      this.columns.forEach((column, j) => fillCell(this.body.rows[i].cells[j], column, rows[i]));
    this.table.hidden = n === 0;
    this.empty.hidden = n > 0;
    this.rest.hidden = left === 0;
    this.rest.textContent = left + ' more are not shown';
  }
}

function fillCell(cell, column, row) {
  const made = column.fill(cell, row);
  if (made === undefined) return;
  let only = cell.firstChild;
  if (!only || cell.childNodes.length !== 1 || only.nodeName !== 'SPAN') {
    only = element('span');
    cell.replaceChildren(only);
  }
  const text = made === null ? '–' : String(made);
  if (only.textContent !== text) only.textContent = text;
  if (only.className) only.className = '';
  cell.classList.toggle('blank', text === '' || text === '–');
}

/* A cell with one word on a coloured ground. */
function badge(cell, tone, text, title) {
  let only = cell.firstChild;
  if (!only || only.nodeName !== 'SPAN') cell.replaceChildren(only = element('span'));
  only.className = 'badge ' + tone;
  only.textContent = text;
  only.title = title || '';
}

/* A cell with a line of values and the last of them. */
function sparkCell(cell, values, text, className) {
  if (cell.childNodes.length !== 2) {
    const wrapped = element('span'), image = svg('svg', { class: 'spark ' + (className || ''), 'aria-hidden': 'true' });
    wrapped.append(image);
    cell.replaceChildren(wrapped, element('span', 'mono'));
  }
  spark(cell.firstChild.firstChild, values);
  cell.lastChild.textContent = text;
}

/* Pairs of a definition list. */
function facts(place, pairs) {
  const wanted = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '');
  while (place.children.length < wanted.length) {
    const pair = element('div');
    pair.append(element('dt'), element('dd'));
    place.append(pair);
  }
  while (place.children.length > wanted.length) place.lastChild.remove();
  wanted.forEach(([name, value], i) => {
    const [term, data] = place.children[i].children;
    if (term.textContent !== name) term.textContent = name;
    if (data.textContent !== String(value)) data.textContent = value;
  });
}
