"use strict";
// Everything from the data enters the page as text nodes or attributes, never as HTML.
const R = JSON.parse(document.getElementById("data").textContent);
const COLOURS = ["#3b78e7", "#e0862b", "#1aa39a", "#8e5bd0", "#c0392b", "#6b8f2a", "#c06c9b", "#607080", "#b8860b", "#2e86ab"];
const SVG = "http://www.w3.org/2000/svg";

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}
function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}
function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return String(value);
  const size = Math.abs(value);
  return size >= 1000 ? value.toFixed(0) : size >= 100 ? value.toFixed(1) : size >= 1 ? value.toFixed(2) : size >= .001 ? value.toFixed(4) : value.toExponential(1);
}
function lasting(seconds) {
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
function table(head, rows, left = [0]) {
  const cell = (tag, value, at) => el(tag, left.includes(at) ? {class: "left", scope: tag === "th" ? "col" : null} : {scope: tag === "th" ? "col" : null}, value instanceof Node ? value : short(value));
  return el("div", {class: "scroll", tabindex: "0"}, el("table", {},
    el("thead", {}, el("tr", {}, ...head.map((value, at) => cell("th", value, at)))),
    el("tbody", {}, ...rows.map(row => el("tr", {}, ...row.map((value, at) => cell("td", value, at)))))));
}
function section(id, title, ...children) {
  document.getElementById("nav").append(el("a", {href: `#${id}`}, title));
  const node = el("section", {id, "aria-label": title}, el("h2", {}, title), ...children);
  document.getElementById("main").append(node);
  return node;
}
const card = (...children) => el("div", {class: "card"}, ...children);
const titleOf = name => R.meanings[name] ? R.meanings[name][0] : name;
const howOf = name => R.meanings[name] ? R.meanings[name][1] : "a metric of this run that the table of metrics does not have";

// ---- overview
function overview() {
  const status = R.status, tiles = el("div", {class: "tiles"});
  for (const tile of R.tiles) {
    const change = tile.last - tile.first;
    const better = ["sft/loss", "timing_s/step"].includes(tile.metric) ? change < 0 : change > 0;
    const neutral = ["actor/entropy", "response_length/mean"].includes(tile.metric);
    tiles.append(el("div", {class: "card tile"}, el("span", {class: "soft"}, titleOf(tile.metric)), el("b", {}, short(tile.last)),
      el("span", {class: tile.points < 2 || neutral || !change ? "soft" : better ? "up" : "down"},
        tile.points < 2 ? "one value" : `${change >= 0 ? "+" : "−"}${short(Math.abs(change))} since the start`)));
  }
  const facts = [["written", R.written], ["folder", R.folder]];
  if (status.said) facts.unshift(["status", status.said]);
  if (status.seconds_left) facts.push(["left (estimate)", lasting(status.seconds_left)]);
  if (status.error) facts.push(["error", status.error], ["worker logs", status.worker_logs]);
  if (status.resume && status.state !== "running") facts.push(["resume with", el("code", {}, status.resume)]);
  const start = Object.entries(status.start || {}).map(([name, seconds]) => `${name} ${lasting(seconds)}`).join(", ");
  if (start) facts.push(["start", start]);
  for (const note of R.notes) facts.push(["note", note]);
  section("overview", "Overview", tiles, el("h3", {}, "Facts"), card(table(["", ""], facts, [0, 1])));
}

// ---- curves
function path(points, x, y) { return points.map((point, at) => `${at ? "L" : "M"}${x(point[0]).toFixed(1)},${y(point[1]).toFixed(1)}`).join(""); }
function chart(lines, label) {
  const W = 340, H = 150, L = 44, B = 20, all = lines.flatMap(line => line.points);
  const xs = all.map(p => p[0]), ys = all.map(p => p[1]);
  const least = (values) => values.reduce((a, b) => Math.min(a, b), Infinity), most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);
  let x0 = least(xs), x1 = most(xs), y0 = least(ys), y1 = most(ys);
  if (x0 === x1) { x0 -= .5; x1 += .5; }
  if (y0 === y1) { const pad = Math.abs(y0) * .1 || .5; y0 -= pad; y1 += pad; }
  const x = value => L + (value - x0) / (x1 - x0) * (W - L - 6), y = value => H - B - (value - y0) / (y1 - y0) * (H - B - 8);
  const node = svg("svg", {viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${label}: ${lines.map(l => `${l.name} from ${short(l.points[0][1])} to ${short(l.points[l.points.length - 1][1])}`).join("; ")}`});
  for (const value of [y0, (y0 + y1) / 2, y1]) {
    node.append(svg("line", {class: "axis", x1: L, x2: W - 6, y1: y(value), y2: y(value)}));
    const text = svg("text", {x: L - 4, y: y(value) + 4, "text-anchor": "end"}); text.textContent = short(+value.toPrecision(3)); node.append(text);
  }
  for (const value of new Set([Math.ceil(x0), Math.round((x0 + x1) / 2), Math.floor(x1)])) {
    const text = svg("text", {x: x(value), y: H - 4, "text-anchor": "middle"}); text.textContent = value; node.append(text);
  }
  lines.forEach(line => {
    node.append(svg("path", {d: path(line.points, x, y), fill: "none", stroke: line.colour, "stroke-width": 1.6, "stroke-dasharray": line.dash || ""}));
    if (line.points.length <= 40) for (const point of line.points) {
      const dot = svg("circle", {cx: x(point[0]), cy: y(point[1]), r: 2.2, fill: line.colour});
      const title = svg("title"); title.textContent = `${line.name} step ${point[0]}: ${short(point[1])}`; dot.append(title); node.append(dot);
    }
  });
  return node;
}
function panel(title, names, stage) {
  const lines = [];
  const add = (series, name, dash, run) => {
    const points = series[name] && series[name][stage];
    if (points && points.length) lines.push({name: run ? `${name} (${run})` : name, points, dash, colour: COLOURS[names.indexOf(name) % COLOURS.length]});
  };
  names.forEach(name => { add(R.series, name, "", R.other && R.name); if (R.other) add(R.other.series, name, "4 3", R.other.name); });
  if (!lines.length) return null;
  const key = lines.length > 1 ? el("div", {class: "legend"}, ...lines.map(line => el("span", {}, el("span", {class: "swatch", style: `background:${line.colour}`}), line.name))) : null;
  const how = el("details", {}, el("summary", {}, "how it is computed"), ...names.filter(name => R.series[name]).map(name => el("p", {class: "how"}, el("code", {}, name), `: ${howOf(name)}`)));
  return el("figure", {class: "card"}, el("figcaption", {}, el("b", {}, title), ` · ${stage} steps`), chart(lines, title), key, how);
}
function curves() {
  const starting = prefix => Object.keys(R.series).filter(name => name.startsWith(prefix)).sort();
  const f1 = Object.keys(R.series).filter(name => /^val\/.+\/f1$/.test(name)).sort();
  const parts = starting("rewards/");
  const panels = [
    ["Reward", ["reward/mean", "reward/std"], "grpo"], ["Parts of the reward", parts, "grpo"], ["F1 of rollouts", ["ner/f1", "ner/precision", "ner/recall", "ner/chain_f1"], "grpo"],
    ["F1 of the evaluation", ["val/f1", "val/exact_f1"], "grpo"], ["F1 by data set", f1, "grpo"],
    ["SFT loss", ["sft/loss", "sft/held_out_loss"], "sft"], ["Policy loss", ["actor/pg_loss"], "grpo"], ["KL", ["actor/ppo_kl", "actor/kl_loss", "rollout_corr/kl"], "grpo"],
    ["Entropy", ["actor/entropy"], "grpo"], ["Lengths", ["response_length/mean", "response_length/max", "prompt_length/mean"], "grpo"], ["Cut answers", ["response_length/clip_ratio"], "grpo"],
    ["Probability mismatch", ["training/rollout_probs_diff_mean", "infra/probe_difference"], "grpo"], ["Clipping", ["actor/pg_clipfrac", "actor/clip_low", "actor/clip_high"], "grpo"],
    ["What teaches nothing", ["reward/frac_zero_std", "reward/invalid_frac", "ner/parse_fail"], "grpo"], ["Seconds of a step", starting("timing_s/"), "grpo"],
    ["Gradient norm", ["actor/grad_norm"], "grpo"], ["SFT gradient norm", ["actor/grad_norm"], "sft"], ["SFT speed", ["sft/tokens_per_s"], "sft"], ["Speed", ["rollout/tokens_per_s"], "grpo"],
    ["Staleness", ["async/staleness_mean", "async/staleness_max"], "grpo"],
  ];
  const found = panels.map(([title, names, stage]) => panel(title, names, stage)).filter(Boolean);
  const used = new Set(panels.flatMap(([, names]) => names));
  const rest = Object.keys(R.series).filter(name => !used.has(name)).sort();
  const more = rest.flatMap(name => ["sft", "grpo"].map(stage => panel(titleOf(name), [name], stage))).filter(Boolean);
  section("curves", "Curves", found.length ? el("div", {class: "grid"}, ...found) : el("p", {class: "soft"}, "No step has been recorded yet."),
    more.length ? el("details", {}, el("summary", {}, `${more.length} more curves`), el("div", {class: "grid"}, ...more)) : null);
}

// ---- time
function time() {
  const T = R.timeline;
  if (!T.lanes.length) { section("time", "Where the time goes", el("p", {class: "soft"}, "This run has recorded no spans.")); return; }
  const kinds = [...new Set(T.lanes.flatMap(lane => Object.keys(lane.pieces)))];
  const W = 1000, H = 26, L = 90, holder = el("div", {class: "scroll", tabindex: "0", "aria-label": "timeline"});
  const draw = zoom => {
    const x = value => L + value / (T.seconds || 1) * (W * zoom - L - 4);
    const node = svg("svg", {viewBox: `0 0 ${W * zoom} ${T.lanes.length * H + 22}`, style: `width:${100 * zoom}%`, role: "img", "aria-label": `timeline of ${T.lanes.length} workers over ${lasting(T.seconds)}`});
    T.lanes.forEach((lane, row) => {
      const name = svg("text", {x: 2, y: row * H + 16}); name.textContent = lane.who; node.append(name);
      node.append(svg("line", {class: "axis", x1: L, x2: W * zoom, y1: row * H + H - 3, y2: row * H + H - 3}));
      for (const [kind, pieces] of Object.entries(lane.pieces)) for (const [begin, end] of pieces) {
        const piece = svg("rect", {x: x(begin), y: row * H + 3, width: Math.max(.6, x(end) - x(begin)), height: H - 8, fill: `var(--${kind})`});
        const title = svg("title"); title.textContent = `${lane.who}: ${kind}, ${lasting(end - begin)} from ${lasting(begin)} on`; piece.append(title); node.append(piece);
      }
    });
    for (let tick = 0; tick <= 6 * zoom; tick++) {
      const at = T.seconds * tick / (6 * zoom), text = svg("text", {x: x(at), y: T.lanes.length * H + 16, "text-anchor": tick ? "end" : "start"}); text.textContent = lasting(at); node.append(text);
    }
    holder.replaceChildren(node);
  };
  const zoom = el("select", {"aria-label": "zoom", onchange: event => draw(+event.target.value)}, ...[1, 4, 16, 64].map(value => el("option", {value}, `${value}x`)));
  draw(1);
  section("time", "Where the time goes", card(
    el("div", {class: "row"}, "zoom ", zoom, el("span", {class: "legend"}, ...kinds.map(kind => el("span", {}, el("span", {class: "swatch", style: `background:var(--${kind})`}), kind)), el("span", {class: "soft"}, "blank: idle"))),
    holder,
    table(["worker", ...kinds.map(kind => `${kind} s`), "idle s", "idle %"], T.lanes.map(lane => [lane.who, ...kinds.map(kind => lane.seconds[kind] ?? 0), lane.idle, +(100 * lane.idle / (T.seconds || 1)).toFixed(1)])),
    el("p", {class: "how"}, "Each worker's work as the driver saw it, waiting in the worker's queue included; work that overlaps counts once in idle.")));
}

// ---- sentences
function marksOn(sentence, marks, gold = false) {
  const line = el("div", {class: "sentence"}), off = [];
  let at = 0;
  const placed = marks.filter(mark => { if (mark.start < 0) off.push(mark); return mark.start >= 0; });
  // Offsets count characters; a JavaScript string counts UTF-16 units.
  const letters = Array.from(sentence);
  const cut = (from, to) => letters.slice(from, to).join("");
  for (const mark of placed) {
    const start = Math.max(mark.start, at);
    if (start >= mark.end) { off.push(mark); continue; }
    line.append(cut(at, start));
    line.append(el("mark", {class: gold ? "gold" : mark.kind, title: `${mark.kind || "gold"}: ${mark.label}${mark.gold_label && mark.kind === "type" ? `, gold ${mark.gold_label}` : ""}`}, cut(start, mark.end), el("small", {}, mark.label, mark.kind === "type" && mark.gold_label ? ` ≠ ${mark.gold_label}` : "")));
    at = mark.end;
  }
  line.append(cut(at));
  if (off.length) line.append(" ", ...off.map(mark => el("mark", {class: mark.kind || "gold", title: mark.kind}, mark.text ?? cut(mark.start, mark.end), el("small", {}, mark.label))));
  return line;
}
function legend() {
  const kinds = {hit: "right", boundary: "boundary", type: "wrong label", missed: "missed", spurious: "spurious", ungrounded: "not in the sentence"};
  return el("div", {class: "legend"}, ...Object.entries(kinds).map(([kind, name]) => el("mark", {class: kind}, name)));
}
const OVERLAYS = {none: "text only", advantage: "advantage", entropy: "entropy", mismatch: "sampler–learner mismatch", mask: "loss mask"};
function unroll(runs) { return (runs || []).flatMap(([value, count]) => Array(count).fill(value)); }
function chain(rollout, overlay) {
  const tokens = rollout.tokens;
  if (overlay === "none" || !tokens || !(tokens.ends || []).length) {
    const why = overlay === "none" ? null : el("p", {class: "soft"}, tokens ? "The engine did not tell where the tokens of this text end." : "Token values are kept for a few groups of each step; not for this one.");
    return el("div", {}, why, el("pre", {class: "chain", tabindex: "0"}, rollout.text));
  }
  const values = overlay === "advantage" || overlay === "mask" ? unroll(tokens[overlay]) : (tokens[overlay] || []);
  const known = values.filter(value => typeof value === "number"), scale = known.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  const box = el("pre", {class: "chain", tabindex: "0"}), letters = Array.from(rollout.text);
  let at = 0;
  tokens.ends.forEach((grown, number) => {
    const piece = letters.slice(at, at + grown).join(""); at += grown;
    const value = values[number];
    if (value === null || value === undefined) { box.append(piece); return; }
    const share = Math.min(1, Math.abs(value) / scale);
    const colour = overlay === "mask" ? (value ? "59,120,231" : "140,140,140") : overlay === "entropy" ? "142,91,208" : value >= 0 ? "20,128,60" : "190,40,30";
    const said = overlay === "mask" ? (value ? "trained on" : "not trained on") : overlay === "advantage" ? `advantage ${value}` : `${overlay} ${value / 1000} nat`;
    box.append(el("span", {title: said, style: `background:rgba(${colour},${overlay === "mask" ? (value ? .25 : .12) : (.08 + .62 * share).toFixed(2)})`}, piece));
  });
  box.append(letters.slice(at).join(""));
  const words = overlay === "mask" ? "blue: trained on" : overlay === "entropy" ? `0 to ${(scale / 1000).toFixed(2)} nat` : overlay === "mismatch" ? `learner less sampler, up to ±${(scale / 1000).toFixed(3)} nat` : `green raises, red lowers, up to ±${scale}`;
  return el("div", {}, el("p", {class: "soft"}, `${OVERLAYS[overlay]}: ${words}; point at a token for its value`), box);
}

// ---- rollouts
function rollouts() {
  const D = R.rollouts;
  if (!D.groups.length) { section("rollouts", "Rollouts", el("p", {class: "soft"}, "No rollouts yet: GRPO has not begun.")); return; }
  const list = el("div", {class: "list card", role: "list"}), shown = el("div", {class: "card", "aria-live": "polite"});
  const state = {step: D.groups[D.groups.length - 1].step, overlay: "none", only: "all", group: null};
  const rewards = D.steps.map(step => step.reward).filter(value => value !== null);
  const low = Math.min(...rewards), high = Math.max(...rewards);
  const bar = el("div", {class: "steps", role: "toolbar", "aria-label": "steps: arrow keys move"});
  const kept = new Set(D.groups.map(group => group.step));
  D.steps.forEach(step => {
    const share = step.reward === null || high === low ? .5 : (step.reward - low) / (high - low);
    const said = `step ${step.step + 1}: reward ${short(step.reward)}, ${step.groups} groups, ${step.dropped} discarded${step.invalid ? `, ${step.invalid} invalid rewards` : ""}${kept.has(step.step) ? "" : "; not on this page"}`;
    bar.append(el("button", {type: "button", title: said, "aria-label": said, "data-step": step.step, style: `opacity:${(.25 + .75 * share).toFixed(2)}${step.invalid ? ";background:var(--bad)" : ""}`, onclick: () => { state.step = step.step; state.group = null; draw(); }}));
  });
  bar.addEventListener("keydown", event => {
    const buttons = [...bar.children], at = buttons.indexOf(document.activeElement), to = {ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1}[event.key];
    if (to !== undefined && buttons[to]) { event.preventDefault(); buttons[to].focus(); buttons[to].click(); }
  });
  const filter = el("select", {"aria-label": "which groups", onchange: event => { state.only = event.target.value; state.group = null; draw(); }},
    ...[["all", "all groups"], ["taught", "groups that teach"], ["dropped", "discarded groups"]].map(([value, name]) => el("option", {value}, name)));
  const overlay = el("select", {"aria-label": "colour tokens by", onchange: event => { state.overlay = event.target.value; group(); }}, ...Object.entries(OVERLAYS).map(([value, name]) => el("option", {value}, name)));
  function group() {
    const G = state.group;
    if (!G) { shown.replaceChildren(el("p", {class: "soft"}, "No such group of this step is on this page.")); return; }
    const gold = G.gold.map(([start, end, label]) => ({start, end, label}));
    shown.replaceChildren(...[
      el("div", {class: "soft"}, `step ${G.step + 1} · ${G.uid} · asked for: ${G.labels.join(", ")}`),
      G.dropped ? el("p", {}, el("span", {class: "tag bad"}, "discarded"), `why: ${G.dropped}`) : null,
      el("h3", {}, "Gold"), marksOn(G.sentence, gold, true),
      el("details", {}, el("summary", {}, "play this group again"), el("pre", {}, `python -m scripts.replay ${R.folder} --step ${G.step} --uid '${G.uid.replaceAll("'", "'\\''")}'`)),
      ...G.rollouts.map(rollout => el("article", {class: "answer"},
        el("div", {class: "head"}, el("b", {}, rollout.reward === null ? "invalid reward" : `reward ${short(rollout.reward)}`), " ",
          el("span", {class: "soft"}, `${Object.entries(rollout.parts).map(([name, value]) => `${name} ${short(value)}`).join(" · ")} · advantage ${short(rollout.advantage)} · ${rollout.length} tokens · version ${rollout.version} `),
          rollout.invalid ? el("span", {class: "tag bad"}, rollout.invalid) : null, rollout.error ? el("span", {class: "tag bad"}, `unreadable: ${rollout.error}`) : null, rollout.finished ? null : el("span", {class: "tag bad"}, "cut at the token limit")),
        marksOn(G.sentence, rollout.marks), chain(rollout, state.overlay))),
    ].filter(Boolean));
  }
  function draw() {
    const groups = D.groups.filter(each => each.step === state.step && (state.only === "all" || (state.only === "dropped") === Boolean(each.dropped)));
    if (!state.group) state.group = groups[0] || null;
    for (const button of bar.children) { const on = +button.dataset.step === state.step; button.setAttribute("aria-pressed", on); button.tabIndex = on ? 0 : -1; }
    const best = each => Math.max(...each.rollouts.map(rollout => rollout.reward ?? -Infinity));
    list.replaceChildren(el("p", {class: "soft"}, `step ${state.step + 1}: ${groups.length} groups on this page`), ...groups.map(each =>
      el("button", {class: "pick", type: "button", "aria-pressed": each === state.group, onclick: () => { state.group = each; draw(); }},
        each.dropped ? el("span", {class: "tag bad"}, "discarded") : el("span", {class: "tag"}, `best ${short(best(each))}`), each.sentence)));
    group();
  }
  if (!bar.querySelector(`[data-step="${state.step}"]`) && bar.firstChild) state.step = +bar.firstChild.dataset.step;
  draw();
  section("rollouts", "Rollouts", card(el("p", {class: "soft"}, `One cell a step; the fuller, the higher the mean reward; red: invalid rewards. ${D.groups.length} of ${D.all_groups} groups are on this page.`), bar,
    el("div", {class: "row"}, filter, overlay, legend())), el("div", {class: "browser", style: "margin-top:.8rem"}, list, shown));
}

// ---- evaluation
function sentenceCard(each, names) {
  return el("article", {class: "card", style: "margin-bottom:.6rem"}, el("div", {class: "soft"}, `${each.data_set} · ${each.uid}`),
    ...each.answers.map((answer, at) => el("div", {}, el("div", {}, names[at] ? el("b", {}, `${names[at]} `) : null, el("span", {class: "tag"}, `F1 ${short(answer.f1)}`), answer.error ? el("span", {class: "tag bad"}, `unreadable: ${answer.error}`) : null, answer.finished ? null : el("span", {class: "tag bad"}, "cut")),
      marksOn(each.sentence, answer.marks), el("details", {}, el("summary", {}, "the whole answer"), el("pre", {class: "chain", tabindex: "0"}, answer.text)))));
}
function paged(items, make, size = 12) {
  const box = el("div"), more = el("button", {type: "button", onclick: add});
  let at = 0;
  function add() { for (const item of items.slice(at, at + size)) box.append(make(item)); at += size; more.hidden = at >= items.length; more.textContent = `show more (${Math.max(0, items.length - at)} left)`; }
  add();
  return el("div", {}, box, more);
}
const withInterval = score => `${score.f1.toFixed(1)} [${score.interval[0].toFixed(1)}, ${score.interval[1].toFixed(1)}]`;
function evaluation() {
  const E = R.evaluation;
  if (E.note) { section("evaluation", "Evaluation", el("p", {class: "soft"}, E.note)); return; }
  const sets = Object.entries(E.data_sets), shown = ["reference", "exact", "partial", "type", "chain"].filter(name => E.protocols.includes(name));
  const kinds = Object.keys(sets[0][1].errors), C = E.confusion, names = [...C.labels, "(missed)"], rows = [...C.labels, "(spurious)"];
  const cells = C.rows.flat().filter((_, at) => Math.floor(at / names.length) !== at % names.length), most = Math.max(1, ...cells);
  const confusion = rows.map((row, at) => [row, ...names.map((name, to) => { const count = C.rows[at][to]; return count ? el("span", {style: at === to ? "font-weight:700" : `background:rgba(190,40,30,${(.08 + .5 * count / most).toFixed(2)});padding:0 .3rem;border-radius:3px`, title: `gold ${row}, answered ${name}: ${count}`}, String(count)) : el("span", {class: "soft"}, "·"); })]);
  const setNames = ["all", ...sets.map(([name]) => name)], holder = el("div");
  const choose = name => holder.replaceChildren(paged(E.sentences.filter(each => name === "all" || each.data_set === name), each => sentenceCard(each, [E.name, E.before])));
  choose("all");
  section("evaluation", "Evaluation",
    card(el("p", {class: "soft"}, `evaluation ${E.name}: F1 in per cent with the 95 % bootstrap interval over sentences, by protocol`),
      table(["data set", "sentences", "finished %", ...shown, ...kinds], [...sets.map(([name, part]) => [name, part.sentences, part.finished, ...shown.map(protocol => withInterval(part.scores[protocol])), ...kinds.map(kind => part.errors[kind])]), ["average", E.all_sentences, null, ...shown.map(protocol => withInterval(E.average[protocol])), ...kinds.map(() => null)]])),
    el("h3", {}, "Labels (exact protocol)"), card(el("div", {class: "list"}, table(["label", "gold", "precision", "recall", "F1", "95 % interval"], E.labels.map(row => [row.label, row.gold, row.precision, row.recall, row.f1, `${row.interval[0]} – ${row.interval[1]}`])))),
    el("h3", {}, "Confusion of labels"), card(el("p", {class: "soft"}, `rows are gold, columns the answer${C.all_labels > C.labels.length ? `; the ${C.labels.length} most frequent of ${C.all_labels} labels` : ""}`), table(["gold", ...names], confusion)),
    el("h3", {}, "Sentences, those that went wrong first"), el("div", {class: "row"}, el("select", {"aria-label": "data set", onchange: event => choose(event.target.value)}, ...setNames.map(name => el("option", {value: name}, name))), legend(), el("span", {class: "soft"}, `${E.sentences.length} of ${E.all_sentences}`)), holder);
}

// ---- two runs
function comparison() {
  const O = R.other;
  if (!O) return;
  const rows = Object.entries(O.differences).map(([protocol, found]) => [protocol, `${found.average.f1.toFixed(2)} [${found.average.interval.map(value => value.toFixed(2)).join(", ")}]`, found.average.p_value]);
  section("compare", "Two runs", el("p", {}, `${R.name} beside ${O.name}; the curves above show both, ${O.name} dashed.`), O.note ? el("p", {class: "soft"}, O.note) : null,
    rows.length ? card(table(["protocol", `F1 of ${R.name} less that of ${O.name}`, "p"], rows)) : null,
    el("h3", {}, "Differences of the config"), card(O.config.length ? table(["key", R.name, O.name], O.config.map(([key, one, other]) => [key, JSON.stringify(one), JSON.stringify(other)]), [0, 1, 2]) : el("p", {class: "soft"}, "none")),
    el("h3", {}, "The same sentence in both, the largest differences first"), el("div", {class: "row"}, legend()), O.sentences.length ? paged(O.sentences, each => sentenceCard(each, [R.name, O.name])) : el("p", {class: "soft"}, "no sentence with different answers"));
}

// ---- faults, config
function faults() {
  const rows = R.timeline.faults.map(fault => [lasting(fault.at), fault.who, fault.what, fault.error]);
  const counters = Object.keys(R.series).filter(name => /_restarts_total$|_leases_reissued$|skipped_steps$|^reward\/invalid\//.test(name)).map(name => {
    const points = Object.values(R.series[name]).flat(); return [name, Math.max(...points.map(point => point[1])), howOf(name)];
  }).filter(row => row[1] > 0);
  section("faults", "Faults and restarts", card(rows.length ? table(["after", "worker", "doing", "what happened"], rows, [0, 1, 2, 3]) : el("p", {class: "soft"}, "no work of a worker failed"),
    counters.length ? table(["counter", "most", ""], counters, [0, 2]) : null));
}
function config() {
  const command = R.status.command || "";
  const copy = command ? el("button", {type: "button", onclick: event => navigator.clipboard.writeText(command).then(() => { event.target.textContent = "copied"; })}, "copy") : null;
  section("config", "Config", card(command ? el("div", {}, el("p", {class: "soft"}, `to run it again, in ${R.status.more ? R.status.more.folder_of_command : ""}`), el("pre", {}, command), copy) : el("p", {class: "soft"}, "this run has not recorded its command"),
    el("details", {}, el("summary", {}, "all keys"), el("pre", {}, JSON.stringify(R.config, null, 1)))));
}

document.title = `RNR ${R.name}`;
document.getElementById("name").textContent = R.other ? `${R.name} beside ${R.other.name}` : R.name;
const state = document.getElementById("state");
state.textContent = R.status.state || "unknown"; state.classList.add(R.status.state || "unknown");
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
document.documentElement.dataset.theme = dark ? "dark" : "light";
document.getElementById("theme").addEventListener("click", () => { const root = document.documentElement.dataset; root.theme = root.theme === "dark" ? "light" : "dark"; });
if (R.status.more && R.status.more.command) R.status.command = R.status.more.command;
overview(); curves(); time(); rollouts(); evaluation(); comparison(); faults(); config();
document.getElementById("footer").append(el("p", {class: "soft", style: "text-align:center"}, `written by RNR, ${R.written}`));
