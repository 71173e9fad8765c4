// The cells as the page carries them, made readable; `cell_archive.py` wrote them.
const SVG = "http://www.w3.org/2000/svg";
const byId = (id) => document.getElementById(id);

function bytes(text) {
  const raw = atob(text);
  const out = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i += 1) out[i] = raw.charCodeAt(i);
  return out;
}

// What the page carries packed, as text: id -> text.
const packed = new Map();

async function unpackAll() {
  for (const id of ["plots-data", "plotly-source", "cells-data"]) {
    const holder = byId(id);
    if (!holder) continue;
    const stream = new Blob([bytes(holder.textContent)]).stream();
    const text = await new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
    packed.set(id, text);
    holder.remove();
  }
}

const numbers = (text, Kind) => new Kind(bytes(text).buffer);

let archive = null;

// Decoded when first asked for: a page of 10,000 cells opens without it.
function cells() {
  if (archive) return archive;
  const raw = JSON.parse(packed.get("cells-data"));
  archive = {
    ...raw,
    arm: numbers(raw.arm, Uint16Array),
    phase: numbers(raw.phase, Uint16Array),
    status: numbers(raw.status, Uint16Array),
    candidate: numbers(raw.candidate, Int32Array),
    seed: numbers(raw.seed, Float64Array),
    epochs: numbers(raw.epochs, Int32Array),
    metrics: raw.metrics.map((m) => ({ ...m, values: numbers(m.values, Float32Array) })),
    params: raw.params.map((p) => ({
      ...p,
      codes: p.codes ? numbers(p.codes, p.wide ? Uint32Array : Uint16Array) : null,
    })),
    places: new Map(raw.keys.map((key, place) => [key, place])),
    curve: decodedCurves(raw.curves),
  };
  return archive;
}

function decodedCurves(raw) {
  const [places, ends] = [numbers(raw.places, Uint32Array), numbers(raw.ends, Float32Array)];
  const lengths = numbers(raw.lengths, Uint16Array);
  const epochs = numbers(raw.epochs, Uint32Array);
  const points = bytes(raw.points);
  const found = new Map();
  let start = 0;
  places.forEach((place, i) => {
    const own = points.subarray(start, start + lengths[i]);
    start += lengths[i];
    found.set(place, { low: ends[2 * i], high: ends[2 * i + 1], epochs: epochs[i], points: own });
  });
  return found;
}

const paramOf = (item, place) => {
  if (!item.codes) return item.values[0];
  return item.codes[place] ? item.values[item.codes[place] - 1] : null;
};

// Numbers for a person, as `numerals.py` writes them.
function shown(value, digits = 5) {
  if (!Number.isFinite(value)) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return value.toLocaleString("en-GB");
  return Number(value.toPrecision(digits)).toString().replace("-", "−");
}

// An element with text: text never becomes markup.
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
