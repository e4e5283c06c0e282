"use strict";
// Keeps a served page up to date: asks for the parts that changed and puts them in place, nothing else.
(() => {
  const { data, enhance } = page;
  if (!data.live) return;
  const status = document.getElementById("status");
  const often = 2000, seldom = 30000;
  let wait = often, failures = 0, timer = null, busy = false;

  function show(text, kind) {
    // Only a change is announced.
    if (status.textContent !== text) status.textContent = text;
    status.className = `status ${kind}`;
  }

  // The place of an element within a part, and what is there in another version of it.
  function placeOf(element, part) {
    const place = [];
    for (let at = element; at !== part; at = at.parentNode) place.unshift([...at.parentNode.children].indexOf(at));
    return place;
  }
  const at = (part, place) => place.reduce((element, index) => element && element.children[index], part);

  function replace(id, update) {
    const section = document.getElementById(id);
    const part = section.querySelector(".part");
    const selection = getSelection();
    // Someone is about to copy something; the next time will do.
    if (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) return;
    const active = document.activeElement;
    const place = part.contains(active) && active !== part ? placeOf(active, part) : null;
    const scrolls = [...part.querySelectorAll(".scroll")].map((region) => region.scrollLeft);
    Object.assign(data.charts, update.charts);
    part.innerHTML = update.html;
    section.hidden = update.html === "";
    const link = document.querySelector(`nav li[data-for="${id}"]`);
    if (link) link.hidden = section.hidden;
    enhance(part);
    part.querySelectorAll(".scroll").forEach((region, n) => { region.scrollLeft = scrolls[n] || 0; });
    const same = place && at(part, place);
    if (same) same.focus({ preventScroll: true });
    data.hashes[id] = update.hash;
  }

  async function ask() {
    if (busy) return;
    busy = true;
    try {
      const have = Object.entries(data.hashes).map(([id, hash]) => `${id}:${hash}`).join(",");
      const answer = await fetch(`update?have=${have}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      const update = await answer.json();
      for (const [id, part] of Object.entries(update.parts)) replace(id, part);
      show(update.status, update.class);
      wait = update.status === "live" ? often : 5 * often;
      failures = 0;
    } catch {
      show("not connected", "is-lost");
      wait = Math.min(often * 2 ** failures, seldom);
      failures += 1;
    }
    busy = false;
    plan();
  }
  function plan() {
    clearTimeout(timer);
    timer = setTimeout(ask, document.hidden ? seldom : wait);
  }
  document.addEventListener("visibilitychange", () => { if (document.hidden) plan(); else ask(); });
  addEventListener("online", ask);
  plan();
})();
