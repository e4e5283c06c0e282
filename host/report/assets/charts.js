"use strict";
// Draws the charts. Each gets its data and a width and gives an SVG, whose colours are the page's
// variables, so that a change of theme needs no drawing.
const charts = (() => {
  const base = (width, height, more) => ({
    width, height,
    marginLeft: 52, marginRight: 22, marginTop: 22, marginBottom: 38,
    style: { background: "transparent", fontSize: "12px", fontFamily: "inherit" },
    ...more,
  });
  const first = "var(--c1)", second = "var(--c2)", quiet = "var(--quiet)", line = "var(--line)";

  const value = (x) => {
    if (x === null || !Number.isFinite(x)) return "–";
    const size = Math.abs(x);
    if (size === 0) return "0";
    if (size < 1e-4 || size >= 1e6) return x.toExponential(2).replace("-", "−");
    return x.toPrecision(4).replace("-", "−");
  };
  // Ticks need no more digits than tell them apart.
  const tick = (x) => {
    const size = Math.abs(x);
    if (size !== 0 && (size < 1e-3 || size >= 1e5)) return x.toExponential().replace("-", "−");
    return String(Number(x.toPrecision(6))).replace("-", "−");
  };
  const count = (n) => n.toLocaleString("en");
  const cut = (text, most) => (text.length > most ? text.slice(0, most - 1) + "…" : text);

  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const unitOf = (seconds) => units.find(([size]) => seconds >= 2 * size) || units[3];

  function curve(data, width, state) {
    const byTime = state.axis === "time";
    const longest = Math.max(1, ...data.curves.flatMap((run) => run.best.map((point) => point[1])));
    const [size, unit] = unitOf(longest);
    const x = byTime ? (point) => point[1] / size : (point) => point[0];
    const y = (point) => point[2];
    const marks = [Plot.ruleY([0], { stroke: line })];
    data.curves.forEach((run, at) => {
      const stroke = at === 0 ? first : second;
      if (at === 0) {
        marks.push(Plot.dot(run.scores, { x, y, r: run.scores.length < 200 ? 3 : 1.6, fill: stroke, fillOpacity: 0.35 }));
      }
      marks.push(
        Plot.line(run.median, { x, y, stroke, strokeWidth: 1.3, strokeDasharray: "4 3" }),
        Plot.line(run.best, { x, y, stroke, strokeWidth: 2.2, curve: "step-after" }),
      );
    });
    const improvements = data.curves.flatMap((run) => run.best.map((point) => ({ point, run })));
    marks.push(Plot.tip(improvements, Plot.pointer({
      x: (d) => x(d.point), y: (d) => y(d.point),
      title: (d) => `${cut(d.run.name, 40)}\n${value(d.point[2])} after ${count(d.point[0])} candidates\n`
        + `${value(d.point[1] / size)} ${unit}`,
    })));
    return Plot.plot(base(width, Math.min(420, Math.max(260, width * 0.45)), {
      x: {
        label: byTime ? `time in ${unit} →` : "explored candidates →",
        tickFormat: byTime ? undefined : "~s", ticks: width < 480 ? 4 : 8, line: true,
      },
      y: { label: `↑ ${cut(data.score, 40)}`, grid: true, nice: true },
      marks,
    }));
  }

  function comparison(data, width) {
    const most = width < 480 ? 14 : 28;
    const colour = { found: first, new: first, reference: second, random: quiet };
    const rows = data.rows.map((row, at) => ({ ...row, key: String(at) }));
    const measured = rows.filter((row) => row.mean !== null);
    const dots = measured.flatMap((row) => row.values.map((v) => ({ row, v })));
    const names = new Map(rows.map((row) => [row.key, cut(row.name, most)]));
    const spread = measured.filter((row) => row.deviation !== null);
    const longest = Math.max(...[...names.values()].map((name) => name.length));
    return Plot.plot(base(width, 54 * rows.length + 62, {
      marginLeft: Math.min(24 + 7 * longest, width * 0.45),
      x: { label: `${cut(data.score, 40)} →`, grid: true, nice: true, ticks: width < 480 ? 4 : 8 },
      y: { domain: rows.map((row) => row.key), tickFormat: (key) => names.get(key), label: null, tickSize: 0 },
      marks: [
        Plot.ruleY(spread, {
          y: "key", x1: (row) => row.mean - row.deviation, x2: (row) => row.mean + row.deviation,
          stroke: (row) => colour[row.role], strokeWidth: 9, strokeOpacity: 0.28,
        }),
        Plot.tickX(measured, { y: "key", x: "mean", stroke: (row) => colour[row.role], strokeWidth: 2.5, inset: 10 }),
        Plot.dot(dots, {
          y: (d) => d.row.key, x: "v", r: 4, fill: (d) => colour[d.row.role],
          stroke: "var(--surface)", strokeWidth: 1.2,
        }),
        Plot.tip(dots, Plot.pointer({
          y: (d) => d.row.key, x: "v", title: (d) => `${cut(d.row.name, 40)}\n${value(d.v)}`,
        })),
      ],
    }));
  }

  function funnel(data, width) {
    const most = Math.max(2, ...data.steps.map((step) => step.passed));
    const steps = data.steps.map((step, at) => ({ ...step, key: String(at) }));
    const label = (step) => `${step.title}: ${count(step.passed)}  (${step.share})`;
    return Plot.plot(base(width, 46 * steps.length + 40, {
      marginLeft: 8, marginTop: 4,
      x: {
        type: "log", domain: [0.6, most], label: "candidates that passed →", grid: true,
        ticks: d3.range(0, Math.ceil(Math.log10(most)) + 0.5).map((n) => 10 ** n).filter((n) => n <= most),
        tickFormat: "~s",
      },
      y: { domain: steps.map((step) => step.key), axis: null, paddingInner: 0.1 },
      marks: [
        Plot.barX(steps.filter((step) => step.passed > 0), {
          y: "key", x1: 0.6, x2: "passed", fill: first, fillOpacity: 0.85, insetTop: 20, insetBottom: 4, rx: 2,
        }),
        Plot.text(steps, {
          y: "key", x: 0.6, text: label, textAnchor: "start", dy: -12, fill: "currentColor", fontWeight: 500,
        }),
      ],
    }));
  }

  function family(data, width) {
    const points = data.points.filter((point) => point[1] !== null);
    return Plot.plot(base(width, 200, {
      x: { label: "generation →", tickFormat: "d", ticks: Math.min(8, points.length), line: true },
      y: { label: `↑ ${cut(data.score, 40)}`, grid: true, nice: true, ticks: 5 },
      marks: [
        Plot.line(points, { x: "0", y: "1", stroke: first, strokeWidth: 1.4 }),
        Plot.dot(points, { x: "0", y: "1", fill: first, r: 3 }),
        Plot.tip(points, Plot.pointerX({
          x: "0", y: "1", title: (point) => `candidate ${count(point[2])}\n${value(point[1])}`,
        })),
      ],
    }));
  }

  function shape(data, width) {
    const { panel } = data;
    const [low, high] = panel.domain;
    const colours = [first, second];
    const lines = panel.lines.map((drawn, at) => Plot.line(drawn.points, {
      x: "0", y: "1", stroke: colours[at % 2], strokeWidth: 2, clip: true,
    }));
    const all = panel.lines.flatMap((drawn) => drawn.points
      .filter((point) => point[1] !== null && point[1] >= low && point[1] <= high)
      .map((point) => ({ name: drawn.name, point })));
    return Plot.plot(base(width, 210, {
      x: { label: `${data.x} →`, ticks: 5, line: true },
      y: { domain: [low, high], nice: true, grid: true, ticks: 5, label: null, tickFormat: tick },
      marginLeft: 58,
      marks: [
        ...(low < 0 && high > 0 ? [Plot.ruleY([0], { stroke: line })] : []),
        ...lines,
        Plot.tip(all, Plot.pointer({
          x: (d) => d.point[0], y: (d) => d.point[1],
          title: (d) => `${d.name}\n${data.x} ${value(d.point[0])}\n${value(d.point[1])}`,
        })),
      ],
    }));
  }

  return { curve, comparison, funnel, family, shape };
})();
