"use strict";
// What a reader does with the page: theme, sorting, copying, the axis of a chart. State is kept by name,
// so that a part that is fetched anew looks as it was left.
const page = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const state = { axis: "explored", sorted: new Map(), open: new Map() };

  // Theme: automatic, light, dark.
  const themes = ["automatic", "light", "dark"];
  const themeButton = document.getElementById("theme");
  const stored = () => { try { return localStorage.getItem("autoloss-theme"); } catch { return null; } };
  function setTheme(theme) {
    if (theme === "automatic") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    themeButton.textContent = `Theme: ${theme}`;
    try { localStorage.setItem("autoloss-theme", theme); } catch { /* The page works without a memory. */ }
  }
  let theme = themes.includes(stored()) ? stored() : "automatic";
  setTheme(theme);
  themeButton.hidden = false;
  themeButton.addEventListener("click", () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    setTheme(theme);
  });

  // Tables.
  function sort(table, column, direction) {
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, at) => header.setAttribute("aria-sort", at === column ? direction : "none"));
    const sign = direction === "ascending" ? 1 : -1;
    const numeric = headers[column].classList.contains("n");
    const key = (row) => {
      const cell = row.cells[column];
      if (!numeric) return cell.textContent.trim();
      return cell.dataset.sort === undefined ? null : Number(cell.dataset.sort);
    };
    const rows = [...table.tBodies[0].rows].map((row) => ({ row, key: key(row) }));
    rows.sort((a, b) => {
      // What was not measured stays at the end whichever way.
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * (numeric ? a.key - b.key : a.key.localeCompare(b.key, "en", { numeric: true }));
    });
    table.tBodies[0].append(...rows.map(({ row }) => row));
    state.sorted.set(table.id, [column, direction]);
  }
  function clickedSort(button) {
    const header = button.closest("th");
    const now = header.getAttribute("aria-sort");
    const initial = header.classList.contains("n") ? "descending" : "ascending";
    const other = { ascending: "descending", descending: "ascending" };
    sort(header.closest("table"), header.cellIndex, other[now] || initial);
  }

  // Copying.
  async function copy(button) {
    const text = button.dataset.copy, name = button.textContent;
    let done = false;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      area.className = "offscreen";
      document.body.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    button.textContent = done ? "Copied" : "Could not copy";
    setTimeout(() => { button.textContent = name; }, 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.classList.contains("sort")) clickedSort(button);
    if (button.classList.contains("copy")) copy(button);
  });
  document.addEventListener("change", (event) => {
    if (event.target.name !== "curve-axis") return;
    state.axis = event.target.value;
    drawAll(document.getElementById("curve"));
  });
  document.addEventListener("toggle", (event) => {
    const details = event.target;
    if (!(details instanceof HTMLDetailsElement) || !details.dataset.key) return;
    state.open.set(details.dataset.key, details.open);
    if (details.open) drawAll(details);
  }, true);

  // Charts: drawn when they come near the view, and again when their width changes.
  function draw(figure) {
    const chart = data.charts[figure.dataset.chart];
    const plot = figure.querySelector(".plot");
    const width = Math.floor(plot.clientWidth);
    if (!chart || width < 80) return;
    const drawn = charts[chart.kind](chart, width, state);
    // The frame around it says what it shows.
    drawn.setAttribute("aria-hidden", "true");
    plot.replaceChildren(drawn);
    figure.dataset.width = String(width);
  }
  const drawAll = (root) => root.querySelectorAll("figure[data-width]").forEach(draw);
  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const figure = target.closest("figure");
      if (figure && figure.dataset.width && figure.dataset.width !== String(Math.floor(target.clientWidth))) {
        draw(figure);
      }
    }
  });
  const near = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (!isIntersecting) continue;
      near.unobserve(target);
      draw(target);
    }
  }, { rootMargin: "800px" });
  addEventListener("beforeprint", () => document.querySelectorAll("figure.chart").forEach(draw));

  // What scrolls by itself is reached by keyboard; what fits is no stop on the way.
  const reach = (region) => {
    const scrolls = region.scrollWidth > region.clientWidth + 1 || region.scrollHeight > region.clientHeight + 1;
    if (scrolls) region.tabIndex = 0;
    else if (region !== document.activeElement) region.removeAttribute("tabindex");
  };
  const regions = new ResizeObserver((entries) => entries.forEach(({ target }) => reach(target)));

  // Makes a part work after it has come into the page.
  function enhance(root) {
    root.querySelectorAll("button.copy").forEach((button) => { button.hidden = false; });
    root.querySelectorAll("details[data-key]").forEach((details) => {
      const open = state.open.get(details.dataset.key);
      if (open !== undefined) details.open = open;
    });
    root.querySelectorAll("table[id]").forEach((table) => {
      const known = state.sorted.get(table.id);
      if (known && known[0] < table.tHead.rows[0].cells.length) sort(table, ...known);
    });
    root.querySelectorAll('input[name="curve-axis"]').forEach((input) => {
      input.checked = input.value === state.axis;
    });
    root.querySelectorAll(".scroll, .formula, pre").forEach((region) => regions.observe(region));
    root.querySelectorAll("figure.chart").forEach((figure) => {
      near.observe(figure);
      sizes.observe(figure.querySelector(".plot"));
    });
  }
  enhance(document);
  return { data, enhance };
})();
