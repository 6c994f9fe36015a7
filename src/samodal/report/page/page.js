"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const D = JSON.parse($("data").textContent), RUNS = D.runs, TWO = RUNS.length > 1, PIECE = D.piece;
const [W, H] = D.size, N = D.shown.length, START = N ? D.seconds[0] : 0;
const STEP = N > 1 ? (D.seconds[N - 1] - START) / (N - 1) : 1 / D.fps, SPAN = Math.max(D.seconds[N - 1] - START + STEP, 1e-3);
const WORDS = ["visible", "partly hidden", "hidden", "leaving", "lost"];
const film = $("film"), probe = $("probe");
const now = { frame: 0, run: 0, track: -1, moment: -1, opacity: 0.6, layers: {} };
let ready = false;

// Every text from a file comes in as text, never as markup.
function make(tag, text, kind, into) {
  const node = document.createElement(tag);
  if (text !== undefined && text !== null) node.textContent = text;
  if (kind) node.className = kind;
  if (into) into.append(node);
  return node;
}
const named = (run, n) => `#${RUNS[run].tracks[n].id} ${RUNS[run].tracks[n].category}`;
const rgb = (c, a = 1) => `rgba(${c[0]},${c[1]},${c[2]},${a})`;
const unseen = (t) => t.seconds[2] + t.seconds[3] + t.seconds[4];
const secs = (s) => `${s.toFixed(1)} s`;
const span = (t) => { const last = t.runs[t.runs.length - 1]; return [t.runs[0][0], last[0] + last[1] - 1]; };
const stateAt = (t, frame) => { for (const [at, n, s] of t.runs) if (frame >= at && frame < at + n) return s; return -1; };

// ---- outlines, unpacked piece by piece
const pieces = new Map();
function bytesOf(text) {
  const raw = atob(text), out = new Uint8Array(raw.length);
  for (let n = 0; n < raw.length; n++) out[n] = raw.charCodeAt(n);
  return out;
}
async function unpack(run, number) {
  const node = $(`outlines-${run}-${number}`);
  if (!node) return [];
  const stream = new Blob([bytesOf(node.textContent)]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}
async function entriesOf(run, frame) {
  const number = Math.floor(frame / PIECE), key = `${run}-${number}`;
  let piece = pieces.get(key);
  if (!piece) {
    piece = unpack(run, number);
    if (pieces.size > 24) pieces.delete(pieces.keys().next().value);
    pieces.set(key, piece);
  }
  return (await piece)[frame % PIECE] || [];
}
function shape(lists) {
  const path = new Path2D();
  let x0 = 1e9, y0 = 1e9, x1 = -1, y1 = -1;
  for (const p of lists) {
    let x = p[0], y = p[1];
    path.moveTo(x, y);
    for (let n = 2; n <= p.length; n += 2) {
      x0 = Math.min(x0, x); y0 = Math.min(y0, y); x1 = Math.max(x1, x); y1 = Math.max(y1, y);
      if (n < p.length) { x += p[n]; y += p[n + 1]; path.lineTo(x, y); }
    }
    path.closePath();
  }
  return { path, box: lists.length ? [x0, y0, x1, y1] : null };
}

// ---- drawing
const hatches = new Map();
function hatch(ctx, color) {
  const key = color.join();
  if (!hatches.has(key)) {
    const tile = document.createElement("canvas"), pen = tile.getContext("2d");
    tile.width = tile.height = 10;
    pen.strokeStyle = rgb(color); pen.lineWidth = 3;
    pen.beginPath();
    for (const d of [-10, 0, 10]) { pen.moveTo(d - 2, 12); pen.lineTo(d + 12, -2); }
    pen.stroke();
    hatches.set(key, tile);
  }
  return ctx.createPattern(hatches.get(key), "repeat");
}
function paint(ctx, run, entries, layers, chosen, scale) {
  const seen = [];
  for (const [number, state, whole, part, hiders] of entries) {
    if (layers.only && chosen >= 0 && number !== chosen) continue;
    const all = shape(whole), own = part === 0 ? all : shape(part);
    seen.push({ number, state, all, own, hiders, area: all.box ? (all.box[2] - all.box[0]) * (all.box[3] - all.box[1]) : 0 });
  }
  for (const s of seen.sort((a, b) => (a.state >= 2) - (b.state >= 2) || b.area - a.area)) {
    const color = RUNS[run].tracks[s.number].color, strong = s.number === chosen;
    if (!s.all.box) continue;
    if (layers.visible && s.own.box) {
      ctx.fillStyle = rgb(color, 0.6 * now.opacity);
      ctx.fill(s.own.path, "evenodd");
    }
    if (layers.hidden && s.own !== s.all) {
      ctx.save();
      const outside = new Path2D();
      outside.rect(-W, -H, 3 * W, 3 * H);
      if (s.own.box) outside.addPath(s.own.path);
      ctx.clip(outside, "evenodd");
      ctx.globalAlpha = now.opacity;
      ctx.fillStyle = rgb(color, 0.25); ctx.fill(s.all.path, "evenodd");
      ctx.fillStyle = hatch(ctx, color); ctx.fill(s.all.path, "evenodd");
      ctx.restore();
    }
    if (layers.outline) {
      const parts = [[layers.hidden ? s.all : s.own, s.own === s.all ? 2 : 1.2], [s.own, 2]];
      for (const [one, width] of s.own === s.all ? parts.slice(1) : parts) {
        if (!one.box) continue;
        ctx.strokeStyle = "#111c"; ctx.lineWidth = (width + 2 + 2 * strong) / scale; ctx.stroke(one.path);
        ctx.strokeStyle = strong ? "#fff" : rgb(color); ctx.lineWidth = (width + strong) / scale; ctx.stroke(one.path);
      }
    }
  }
  return seen;
}
const middle = (s) => { const b = s.own.box || s.all.box; return [(b[0] + b[2]) / 2, (b[1] + b[3]) / 2]; };
function arrows(ctx, run, seen, scale) {
  const at = new Map(seen.filter((s) => s.own.box || s.all.box).map((s) => [s.number, s]));
  for (const s of at.values()) for (const [front, share] of s.hiders) {
    if (share < 5 || !at.has(front)) continue;
    let [x0, y0] = middle(at.get(front));
    const [x1, y1] = middle(s);
    if (Math.hypot(x1 - x0, y1 - y0) < 24 / scale) { x0 = x1 + 14 / scale; y0 = y1 - 28 / scale; }
    const a = Math.atan2(y1 - y0, x1 - x0), size = 9 / scale;
    for (const [style, extra] of [["#111", 3], [rgb(RUNS[run].tracks[front].color), 0]]) {
      ctx.strokeStyle = ctx.fillStyle = style;
      ctx.lineWidth = (1.5 + share / 30 + extra) / scale;
      ctx.beginPath(); ctx.moveTo(x0, y0); ctx.lineTo(x1, y1); ctx.stroke();
      ctx.beginPath(); ctx.moveTo(x1, y1);
      for (const turn of [-0.45, 0.45]) ctx.lineTo(x1 - (size + extra / scale) * Math.cos(a + turn), y1 - (size + extra / scale) * Math.sin(a + turn));
      ctx.fill();
    }
    tag(ctx, `${share}%`, (x0 + x1) / 2, (y0 + y1) / 2, RUNS[run].tracks[front].color, scale, []);
  }
}
function tag(ctx, text, x, y, color, scale, taken) {
  const high = 17 / scale;
  ctx.font = `${12 / scale}px system-ui,"DejaVu Sans",sans-serif`;
  const wide = ctx.measureText(text).width + 11 / scale;
  const left = Math.max(0, Math.min(W - wide, x - wide / 2));
  for (const step of [0, 1, 2, -1, 3, 4, -2, 5, 6]) {
    const top = y - high - 3 / scale - step * high * 1.12;
    if (top < 0 || top + high > H) continue;
    if (taken.some((t) => left < t[2] && t[0] < left + wide && top < t[3] && t[1] < top + high)) continue;
    taken.push([left, top, left + wide, top + high]);
    if (step > 1) {
      ctx.lineWidth = 1 / scale; ctx.strokeStyle = rgb(color);
      ctx.beginPath(); ctx.moveTo(x, top + high); ctx.lineTo(x, y); ctx.stroke();
    }
    ctx.fillStyle = "#141414d0"; ctx.fillRect(left, top, wide, high);
    ctx.fillStyle = rgb(color); ctx.fillRect(left, top, 3 / scale, high);
    ctx.fillStyle = "#fff"; ctx.textBaseline = "middle";
    ctx.fillText(text, left + 7 / scale, top + high / 2);
    return;
  }
}
function labels(ctx, run, seen, scale) {
  const taken = [];
  for (const s of [...seen].sort((a, b) => (b.number === now.track) - (a.number === now.track) || b.area - a.area)) {
    const box = s.own.box || s.all.box;
    if (!box) continue;
    const t = RUNS[run].tracks[s.number], share = s.hiders.reduce((sum, h) => sum + h[1], 0);
    const small = s.area * scale * scale < 900;
    const more = s.state >= 2 ? ` ${WORDS[s.state]}` : s.state === 1 ? ` ${Math.min(100, share)}% hidden` : "";
    tag(ctx, small ? `${t.id}` : `${t.id} ${t.category}${more}`, (box[0] + box[2]) / 2, box[1], t.color, scale, taken);
  }
}
const stages = RUNS.map((run, n) => {
  const figure = make("figure", null, "stage", $("stages"));
  if (TWO) make("figcaption", `${"AB"[n]}: ${run.label}`, null, figure);
  const canvas = make("canvas", null, null, figure);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", "the video with its masks");
  canvas.style.aspectRatio = `${W}/${H}`;
  canvas.addEventListener("click", (event) => pick(n, event));
  return { canvas, seen: [] };
});
let drawing = 0;
async function draw() {
  const turn = ++drawing, frame = now.frame;
  const all = await Promise.all(RUNS.map((_, run) => entriesOf(run, frame)));
  if (turn !== drawing) return;
  stages.forEach((stage, run) => {
    const canvas = stage.canvas, width = Math.max(1, Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)));
    if (canvas.width !== width) { canvas.width = width; canvas.height = Math.max(1, Math.round((width * H) / W)); }
    const ctx = canvas.getContext("2d"), chosen = chosenIn(run), scale = canvas.clientWidth / W;
    ctx.setTransform(1, 0, 0, 1, 0, 0); ctx.clearRect(0, 0, canvas.width, canvas.height);
    ctx.setTransform(canvas.width / W, 0, 0, canvas.height / H, 0, 0);
    if (now.layers.picture && ready) ctx.drawImage(film, 0, 0, W, H);
    stage.seen = paint(ctx, run, all[run], now.layers, chosen, scale);
    if (now.layers.arrows) arrows(ctx, run, stage.seen, scale);
    if (now.layers.labels) labels(ctx, run, stage.seen, scale);
  });
  document.documentElement.dataset.drawn = frame;
}
function chosenIn(run) {
  if (now.track < 0 || run === now.run) return now.track;
  const pair = (D.matches || []).find((m) => m[now.run] === now.track);
  return pair ? pair[run] : -2;
}
function pick(run, event) {
  const canvas = stages[run].canvas, box = canvas.getBoundingClientRect(), ctx = canvas.getContext("2d");
  const x = ((event.clientX - box.left) / box.width) * canvas.width, y = ((event.clientY - box.top) / box.height) * canvas.height;
  const hit = stages[run].seen.filter((s) => s.all.box && ctx.isPointInPath(s.all.path, x, y, "evenodd"));
  choose(run, hit.length ? hit[hit.length - 1].number : -1);
}

// ---- where we are
function frameAt(ms) {
  let low = 0, high = N - 1;
  while (low < high) { const m = (low + high + 1) >> 1; if (D.shown[m] <= ms + 1) low = m; else high = m - 1; }
  return low;
}
function nearest(seconds) {
  let best = 0;
  for (let n = 1; n < N; n++) if (Math.abs(D.seconds[n] - seconds) < Math.abs(D.seconds[best] - seconds)) best = n;
  return best;
}
function told() {
  $("place").value = now.frame;
  $("clock").textContent = `${D.seconds[now.frame].toFixed(2)} s · frame ${now.frame} of ${N}`;
  $("rows").style.setProperty("--head", (D.seconds[now.frame] - START) / SPAN);
}
function address() {
  const id = now.track >= 0 ? `id=${encodeURIComponent(RUNS[now.run].tracks[now.track].id)}&` : "";
  try { history.replaceState(null, "", `#${id}t=${D.seconds[now.frame].toFixed(2)}`); } catch { /* some viewers forbid it */ }
}
function seek(frame, keep) {
  now.frame = Math.max(0, Math.min(N - 1, frame));
  told();
  if (!keep) address();
  if (film.error || film.readyState === 0) { draw(); return; }
  const next = now.frame + 1 < N ? D.shown[now.frame + 1] : D.shown[now.frame] + 2;
  film.currentTime = (D.shown[now.frame] + Math.min(2, (next - D.shown[now.frame]) / 2)) / 1000;
}
function choose(run, track) {
  now.run = run; now.track = track;
  document.querySelectorAll("[data-track]").forEach((node) => {
    node.classList.toggle("chosen", track >= 0 && Number(node.dataset.track) === chosenIn(Number(node.dataset.run)));
  });
  address(); draw();
}
function go(run, track, frame) { film.pause(); choose(run, track); seek(frame); }
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)), id = given.get("id"), t = parseFloat(given.get("t"));
  if (id !== null) RUNS.some((r, run) => { const n = r.tracks.findIndex((x) => String(x.id) === id); if (n >= 0) { now.run = run; now.track = n; } return n >= 0; });
  choose(now.run, now.track);
  seek(Number.isFinite(t) ? nearest(t) : now.track >= 0 ? span(RUNS[now.run].tracks[now.track])[0] : now.frame);
}
function follow() {
  if (film.requestVideoFrameCallback) {
    const tick = (_, data) => { at(data.mediaTime * 1000); film.requestVideoFrameCallback(tick); };
    film.requestVideoFrameCallback(tick);
  } else {
    const tick = () => { if (!film.paused) at(film.currentTime * 1000); requestAnimationFrame(tick); };
    requestAnimationFrame(tick);
  }
  const at = (ms) => { ready = true; const frame = frameAt(ms); if (!film.paused) { now.frame = frame; told(); } if (!film.paused || frame === now.frame) draw(); };
  film.addEventListener("seeked", () => { ready = film.readyState >= 2; draw(); });
  film.addEventListener("loadeddata", () => { ready = true; seek(now.frame, true); });
  film.addEventListener("pause", () => { $("play").textContent = "▶"; address(); });
  film.addEventListener("play", () => { $("play").textContent = "❚❚"; });
  film.addEventListener("error", () => {
    $("trouble").hidden = false;
    $("trouble").textContent = "This browser cannot play H.264, so the masks are shown without the picture.";
    draw();
  });
}

// ---- the first screen
function first() {
  $("title").textContent = D.name;
  const lead = RUNS.map((run, n) => {
    const hidden = run.tracks.filter((t) => t.seconds[2] + t.seconds[3] + t.seconds[4] > 0).length;
    const lost = run.tracks.filter((t) => t.seconds[4] > 0).length;
    const head = TWO ? `${"AB"[n]} (${run.label}): ` : "";
    return `${head}${run.tracks.length} objects in ${N} frames (${secs(SPAN)}). ${hidden || "None"} of them ${hidden < 2 ? "was" : "were"} ` +
      `${hidden ? "" : "ever "}fully hidden${hidden ? " at some time" : ""}${lost ? `, ${lost} ${lost === 1 ? "was" : "were"} lost` : ""}.`;
  });
  lead.forEach((text, n) => { if (n) make("br", null, null, $("lead")); $("lead").append(text); });
  RUNS.forEach((run, n) => {
    const box = make("div", null, "fact", $("longest")), head = TWO ? `${"AB"[n]}: ` : "";
    if (!run.longest) { make("p", `${head}Nothing was fully hidden.`, "big", box); return; }
    make("p", `${head}Hidden longest at a stretch`, "hint", box);
    make("p", run.longest.text, "big", box);
    const line = make("p", null, null, box), [word, why] = run.longest.verdict;
    make("span", `mask: ${word}`, "verdict", line);
    line.append(why);
    thumbs(run.longest.thumbs, box);
    make("button", "see it", null, box).addEventListener("click", () => { go(n, run.longest.track, run.longest.frame); $("watch").scrollIntoView({ block: "start" }); });
  });
  const list = moments();
  if (TWO) { $("look-title").textContent = "Where they differ most"; $("look-hint").textContent = list.length ? "A above or left, B below or right in the player." : "They differ nowhere by more than a fifth of a whole mask."; }
  else $("look-hint").textContent = list.length ? "The moments that are most in doubt, by what the result itself says and shows." : "Nothing stands out.";
  list.forEach((m, n) => {
    const item = make("li", null, null, $("moments")), button = make("button", null, null, item);
    button.type = "button";
    const text = make("p", null, null, button);
    make("b", `${n + 1}`, null, text);
    text.append(m.text);
    thumbs(m.thumbs, button);
    button.addEventListener("click", () => jump(n, true));
  });
}
function thumbs(list, into) {
  const row = make("div", null, "thumbs", into);
  list.forEach((t) => {
    const figure = make("figure", null, null, row), image = make("img", null, null, figure);
    image.src = `data:image/jpeg;base64,${t.jpeg}`; image.alt = `${t.word}, ${D.seconds[t.frame].toFixed(2)} s`;
    make("figcaption", image.alt, null, figure);
  });
}
const moments = () => (TWO ? D.differences : RUNS[0].moments);
function jump(n, scroll) {
  const list = moments();
  if (!list.length) return;
  now.moment = (n + list.length) % list.length;
  const m = list[now.moment];
  [...$("moments").children].forEach((item, k) => item.classList.toggle("chosen", k === now.moment));
  go(m.run || 0, m.track, m.frame);
  if (scroll) $("watch").scrollIntoView({ block: "start" });
}

// ---- time line
const LEAST_ROWS = 150;
function order() {
  const rows = [];
  if (!TWO) RUNS[0].tracks.forEach((t, n) => rows.push([unseen(t), [[0, n]]]));
  else {
    const rest = [new Set(), new Set()];
    (D.matches || []).forEach(([a, b]) => { rest[0].add(a); rest[1].add(b); rows.push([Math.max(unseen(RUNS[0].tracks[a]), unseen(RUNS[1].tracks[b])), [[0, a], [1, b]]]); });
    RUNS.forEach((run, r) => run.tracks.forEach((t, n) => { if (!rest[r].has(n)) rows.push([unseen(t), [[r, n]]]); }));
  }
  return rows.sort((a, b) => b[0] - a[0]).flatMap((row) => row[1]);
}
function timeline() {
  if (TWO) $("times-hint").append(" What is one object in both runs stands together.");
  const all = order(), add = (list) => list.forEach(([run, n]) => {
    const t = RUNS[run].tracks[n], row = make("div", null, "row", $("rows"));
    row.dataset.track = n; row.dataset.run = run;
    const name = make("button", `${TWO ? "AB"[run] + " " : ""}${named(run, n)}`, null, row), lane = make("div", null, "lane", row);
    name.type = "button"; name.title = t.end; name.style.setProperty("--own", rgb(t.color));
    name.addEventListener("click", () => go(run, n, span(t)[0]));
    for (const [at, count, state] of t.runs) {
      const piece = make("i", null, `s${state}`, lane), end = at + count < N ? D.seconds[at + count] : START + SPAN;
      piece.style.left = `${((D.seconds[at] - START) / SPAN) * 100}%`;
      piece.style.width = `${((end - D.seconds[at]) / SPAN) * 100}%`;
    }
    make("small", unseen(t) > 0 ? secs(unseen(t)) : "", null, row).title = "seconds not seen";
    const frameOf = (event) => {
      const box = lane.getBoundingClientRect();
      return nearest(START + ((event.clientX - box.left) / box.width) * SPAN - STEP / 2);
    };
    lane.addEventListener("click", (event) => go(run, n, frameOf(event)));
    lane.addEventListener("mousemove", (event) => peek(run, n, frameOf(event), event));
    lane.addEventListener("mouseleave", () => { $("peek").hidden = true; asked = null; });
  });
  add(all.slice(0, LEAST_ROWS));
  if (all.length > LEAST_ROWS) {
    $("more").hidden = false;
    $("more").textContent = `show the other ${all.length - LEAST_ROWS}`;
    $("more").addEventListener("click", () => { add(all.slice(LEAST_ROWS)); $("more").hidden = true; });
  }
}
let asked = null;
function peek(run, track, frame, event) {
  const box = $("peek"), state = stateAt(RUNS[run].tracks[track], frame);
  box.hidden = false;
  box.style.left = `${Math.max(4, Math.min(window.innerWidth - 262, event.clientX - 126))}px`;
  box.style.top = `${event.clientY > 240 ? event.clientY - 222 : event.clientY + 22}px`;
  box.querySelector("p").textContent = `${named(run, track)}: ${state < 0 ? "not there" : WORDS[state]}, ${D.seconds[frame].toFixed(2)} s`;
  const idle = asked === null;
  asked = [run, track, frame];
  if (idle || probe.readyState < 2) shoot();
}
async function shoot() {
  const wanted = asked;
  if (!wanted) return;
  const [run, track, frame] = wanted;
  if (!probe.error && probe.readyState > 0) {
    probe.currentTime = (D.shown[frame] + 1) / 1000;
    await new Promise((done) => { probe.addEventListener("seeked", done, { once: true }); setTimeout(done, 700); });
  }
  const entries = await entriesOf(run, frame), canvas = $("peek").querySelector("canvas"), ctx = canvas.getContext("2d");
  const own = entries.find((e) => e[0] === track), b = own && shape(own[2].length ? own[2] : own[3] || []).box;
  const wide = b ? Math.min(W, Math.max(W / 7, 1.8 * (b[2] - b[0]), 2.7 * (b[3] - b[1]))) : W, scale = canvas.width / wide;
  const x = b ? Math.max(0, Math.min(W - wide, (b[0] + b[2] - wide) / 2)) : 0, tall = canvas.height / scale;
  const y = b ? Math.max(0, Math.min(Math.max(0, H - tall), (b[1] + b[3] - tall) / 2)) : 0;
  ctx.setTransform(1, 0, 0, 1, 0, 0); ctx.clearRect(0, 0, canvas.width, canvas.height);
  ctx.setTransform(scale, 0, 0, scale, -x * scale, -y * scale);
  if (probe.readyState >= 2) ctx.drawImage(probe, 0, 0, W, H);
  paint(ctx, run, entries, { visible: 1, hidden: 1, outline: 1, only: 1 }, track, scale);
  if (asked === wanted) asked = null; else if (asked) shoot();
}

// ---- tables
function table(node, heads, rows, click) {
  let by = -1, up = false;
  const draw = () => {
    node.replaceChildren();
    const head = make("tr", null, null, make("thead", null, null, node)), body = make("tbody", null, null, node);
    heads.forEach(([text, number], n) => {
      const cell = make("th", null, number >= 0 ? "n" : "", head), button = make("button", text + (n === by ? (up ? " ▲" : " ▼") : ""), null, cell);
      button.type = "button";
      button.addEventListener("click", () => { up = n === by ? !up : !(number >= 0); by = n; draw(); });
    });
    const sorted = by < 0 ? rows : [...rows].sort((a, b) => {
      const [p, q] = [a.cells[by], b.cells[by]], c = typeof p === "number" && typeof q === "number" ? p - q : String(p).localeCompare(String(q), undefined, { numeric: true });
      return up ? c : -c;
    });
    sorted.forEach((row) => {
      const line = make("tr", null, null, body);
      if (row.track !== undefined) { line.dataset.track = row.track; line.dataset.run = row.run; }
      row.cells.forEach((value, n) => { make("td", typeof value === "number" && heads[n][1] >= 0 ? value.toFixed(heads[n][1]) : value, heads[n][1] >= 0 ? "n" : "", line).title = value; });
      line.addEventListener("click", () => click(row));
    });
  };
  draw();
}
const RUN_HEAD = TWO ? [["run"]] : [], runCell = (run) => (TWO ? ["AB"[run]] : []);
const KEYS = ["id", "class", "first_s", "last_s", "visible_s", "partly_hidden_s", "hidden_s", "leaving_s", "lost_s", "end"];
function rows() {
  return RUNS.flatMap((r, run) => r.tracks.map((t, track) => {
    const [a, b] = span(t);
    return { run, track, cells: [...runCell(run), t.id, t.category, D.seconds[a], D.seconds[b], ...t.seconds, t.end] };
  })).sort((a, b) => unseen(RUNS[b.run].tracks[b.track]) - unseen(RUNS[a.run].tracks[a.track]));
}
function tables() {
  const pairs = RUNS.flatMap((r, run) => r.pairs.map(([front, back, seconds, frame, share]) => ({
    run, back, frame, cells: [...runCell(run), named(run, front), named(run, back), seconds, share] })));
  if (pairs.length) table($("pairs"), [...RUN_HEAD, ["hides"], ["whom"], ["seconds", 2], ["most, %", 0]], pairs, (p) => {
    setLayer("arrows", true); go(p.run, p.back, p.frame); $("watch").scrollIntoView({ block: "start" });
  });
  else make("tbody", "Nobody hides anybody here.", null, $("pairs"));
  const heads = [["id"], ["class"], ["first, s", 2], ["last, s", 2], ["visible, s", 2], ["partly hidden, s", 2], ["hidden, s", 2], ["leaving, s", 2], ["lost, s", 2], ["why it ended"]];
  table($("table"), [...RUN_HEAD, ...heads], rows(), (row) => go(row.run, row.track, span(RUNS[row.run].tracks[row.track])[0]));
  const keys = [...(TWO ? ["run"] : []), ...KEYS];
  const quote = (v) => { let s = String(v); if (typeof v !== "number" && /^[=+\-@\t\r]/.test(s)) s = "'" + s; return /[",\n\r]/.test(s) ? `"${s.replaceAll('"', '""')}"` : s; };
  $("csv").addEventListener("click", () => save("tracks.csv", "text/csv", [keys, ...rows().map((r) => r.cells)].map((r) => r.map(quote).join(",")).join("\r\n") + "\r\n"));
  $("json").addEventListener("click", () => save("tracks.json", "application/json", JSON.stringify(rows().map((r) => Object.fromEntries(r.cells.map((v, n) => [keys[n], v]))), null, 1)));
}
function save(name, type, text) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// ---- what people touch
function setLayer(name, on) {
  now.layers[name] = on;
  document.querySelector(`[data-layer=${name}]`).checked = on;
  draw();
}
const toggle = () => { if (film.paused) film.play().catch(() => {}); else film.pause(); };
function controls() {
  const boxes = [...document.querySelectorAll("[data-layer]")];
  boxes.forEach((box) => { now.layers[box.dataset.layer] = box.checked; box.addEventListener("change", () => setLayer(box.dataset.layer, box.checked)); });
  $("place").max = N - 1;
  $("place").addEventListener("input", () => { film.pause(); seek(Number($("place").value)); });
  $("opacity").addEventListener("input", () => { now.opacity = Number($("opacity").value); draw(); });
  $("speed").addEventListener("change", () => { film.playbackRate = Number($("speed").value); });
  $("play").addEventListener("click", toggle);
  const by = (n) => { film.pause(); seek(now.frame + n); };
  $("back").addEventListener("click", () => by(-1));
  $("on").addEventListener("click", () => by(1));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
    const range = event.target.type === "range", second = Math.max(1, Math.round(1 / STEP)), far = event.shiftKey ? second : 1;
    const keys = { ArrowLeft: () => by(-far), ArrowRight: () => by(far), j: () => jump(now.moment + 1), k: () => jump(now.moment < 0 ? -1 : now.moment - 1), Home: () => by(-N), End: () => by(N), " ": toggle };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if ("1234567".includes(key) && boxes[Number(key) - 1]) { const box = boxes[Number(key) - 1]; setLayer(box.dataset.layer, !box.checked); return; }
    if (!keys[key] || (range && key !== "j" && key !== "k") || (key === " " && /^(BUTTON|INPUT)$/.test(event.target.tagName))) return;
    event.preventDefault();
    keys[key]();
  });
  const dark = window.matchMedia("(prefers-color-scheme: dark)"), shade = (on) => document.documentElement.classList.toggle("dark", on);
  shade(dark.matches);
  dark.addEventListener("change", () => shade(dark.matches));
  $("theme").addEventListener("click", () => shade(!document.documentElement.classList.contains("dark")));
  window.addEventListener("hashchange", fromAddress);
  window.addEventListener("resize", draw);
}
function load() {
  const node = $("video"), url = URL.createObjectURL(new Blob([bytesOf(node.textContent)], { type: "video/mp4" }));
  node.remove();
  film.src = probe.src = url;
}

first(); timeline(); tables(); controls(); follow(); load(); fromAddress();
D.settings.forEach(([key, value]) => { make("dt", key, null, $("settings")); make("dd", value, null, $("settings")); });
document.documentElement.dataset.ready = "yes";
})();
