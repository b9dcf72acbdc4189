// What the board does beyond links and forms: follows the stream, moves the moment, plays it, tells the viewer's time zone.
// The page is asked for again, whole (htmx), and only what differs is changed (idiomorph). Nothing is worked out here.
"use strict";

(() => {
  const content = document.getElementById("content");
  const status = document.querySelector("[data-status]");
  const slider = document.querySelector("[data-slider]");
  const LOOK_AGAIN_MS = 5000; // where there is no stream
  const SILENT_MS = 12_000; // a stream says something every five seconds
  const DAY_MS = 86_400_000;
  const MOVE_MS = 200; // between two looks while the slider is dragged
  if (!content || !status) return;
  document.documentElement.classList.add("has-script");
  htmx.config.timeout = 15_000;
  Idiomorph.defaults.ignoreActiveValue = true; // what is being typed stays
  // What was opened stays open, and a chart whose figures are the same stays as it is.
  Idiomorph.defaults.callbacks.beforeAttributeUpdated = (name, node) => !(name === "open" && node.tagName === "DETAILS");
  Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, anew) => !(old.dataset?.chart && old.dataset.chart === anew.dataset?.chart);

  // --- the viewer's clocks -------------------------------------------------------------------------------------------------------------
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const told = document.cookie.split("; ").find((each) => each.startsWith("zone="))?.slice(5);
  const keepZone = (zone) => { document.cookie = `zone=${zone}; path=/; max-age=31536000; samesite=lax`; location.reload(); };
  if (!told && own !== "UTC" && navigator.cookieEnabled) keepZone(own);
  document.querySelector("[data-zone]")?.addEventListener("click", () => keepZone(told === "UTC" || !told ? own : "UTC"));

  // --- asking again --------------------------------------------------------------------------------------------------------------------
  const here = () => new URL(location.href);
  const isLive = () => !here().searchParams.get("at") && !here().searchParams.get("known");
  let asking = false, askAgain = false, held = false; // held: somebody draws on what is there
  const look = async () => {
    if (asking || held) { askAgain = true; return; }
    asking = true;
    try {
      await htmx.ajax("GET", location.pathname + location.search, { source: content, target: content, swap: "morph:innerHTML" });
    } catch {
      // Said already, by htmx:sendError.
    } finally {
      asking = false;
      if (askAgain) { askAgain = false; look(); }
    }
  };
  const say = (text, lost = false) => { if (status.textContent !== text) status.textContent = text; status.classList.toggle("lost", lost); };
  document.body.addEventListener("htmx:sendError", () => say("The server cannot be reached. The page shows what it last knew; trying again.", true));
  document.body.addEventListener("htmx:responseError", (event) => {
    say(`The server answered ${event.detail.xhr.status}. The page shows what it last knew; trying again.`, true);
  });
  document.body.addEventListener("htmx:timeout", () => say("The server does not answer. The page shows what it last knew; trying again.", true));
  document.body.addEventListener("htmx:afterSwap", () => {
    if (!isLive()) sayMoment();
    else if (byTheClock) say(`Looked at again every ${LOOK_AGAIN_MS / 1000} seconds.`);
    else if (stream?.readyState === EventSource.OPEN) say("Live.");
    if (slider && isLive()) {
      turn(Date.now());
      if (document.activeElement !== slider) slider.value = slider.max;
    }
    chart();
  });

  // --- the stream ----------------------------------------------------------------------------------------------------------------------
  let stream, byTheClock, tryAgain, heardMs = Date.now();
  const lost = (why) => { if (isLive()) say(`${why} The page shows what it last knew; trying again.`, true); };
  const useClock = (on) => {
    clearInterval(byTheClock);
    byTheClock = on ? setInterval(() => { if (isLive()) look(); }, LOOK_AGAIN_MS) : undefined;
  };
  // Only a page that is live and seen listens: a browser has six connections to a server for all its pages.
  const listen = () => {
    stream?.close();
    if (document.hidden || !isLive()) return;
    heardMs = Date.now();
    stream = new EventSource("/stream");
    const hear = (name, act) => stream.addEventListener(name, (event) => { heardMs = Date.now(); act(event); });
    hear("open", () => { useClock(false); if (isLive()) { say("Live."); look(); } });
    for (const name of ["moved", "tick"]) hear(name, () => { if (isLive()) look(); });
    hear("trouble", (event) => say(JSON.parse(event.data).problem, true));
    stream.addEventListener("error", () => {
      if (stream.readyState !== EventSource.CLOSED) { lost("The connection was lost."); return; } // the browser tries again by itself
      if (!byTheClock) { lost("The connection was refused."); useClock(true); look(); } // too many look at once, or the server is gone
      clearTimeout(tryAgain);
      tryAgain = setTimeout(listen, 2 * LOOK_AGAIN_MS);
    });
  };
  listen();
  setInterval(() => {
    if (!stream || stream.readyState === EventSource.CLOSED || Date.now() - heardMs < SILENT_MS) return;
    lost(`Nothing was heard from the server for ${Math.round((Date.now() - heardMs) / 1000)} seconds.`);
    if (Date.now() - heardMs > 2 * SILENT_MS) listen();
  }, 2000);
  document.addEventListener("visibilitychange", listen);
  addEventListener("pagehide", () => stream?.close());
  addEventListener("pageshow", (event) => { if (event.persisted) listen(); });

  // --- the moment ----------------------------------------------------------------------------------------------------------------------
  const zone = document.querySelector("[data-zone]")?.textContent.trim() || "UTC";
  const clock = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  const moment = () => Date.parse(here().searchParams.get("at") || here().searchParams.get("known") || "") || Date.now();
  let shown = location.search; // what the page was loaded for, or asked for since
  const turn = (ms) => { // to the day that a moment lies in; one that is an hour longer or shorter is told by the next page
    const end = () => Number(slider.dataset.end);
    while (ms > end()) { slider.min = end() + 1000; slider.dataset.end = end() + DAY_MS; }
    while (ms < Number(slider.min)) { slider.dataset.end = Number(slider.min) - 1000; slider.min = Number(slider.min) - DAY_MS; }
    slider.max = Math.min(end(), Date.now());
  };
  const sayMoment = () => say(`Shown as at ${clock.format(moment())} ${zone}.`);
  const show = (ms, kept = false) => { // kept: a moment to come back to, by the browser's button
    const url = here();
    for (const name of ["from", "until", "how"]) url.searchParams.delete(name);
    if (ms === null || ms >= Date.now()) { url.searchParams.delete("at"); url.searchParams.delete("known"); } else url.searchParams.set("at", new Date(ms).toISOString());
    if (kept) history.pushState(null, "", url); else history.replaceState(history.state, "", url);
    shown = location.search;
    if (isLive() === (!stream || stream.readyState === EventSource.CLOSED)) listen();
    content.dataset.live = isLive() ? "yes" : "no";
    const link = document.querySelector("[data-live-link]");
    if (isLive()) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current");
    const typed = document.querySelector("[data-at]");
    if (typed) typed.value = isLive() ? "" : clock.format(moment()).replace(" ", "T");
    if (slider) {
      turn(moment());
      if (document.activeElement !== slider || playing) slider.value = moment();
      slider.setAttribute("aria-valuetext", clock.format(moment()));
    }
    if (isLive()) stop();
    if (isLive()) say("Live."); else sayMoment();
    look();
  };
  let drag;
  slider?.addEventListener("input", () => { stop(); clearTimeout(drag); const ms = Number(slider.value); drag = setTimeout(() => show(ms), MOVE_MS); });
  slider?.addEventListener("pointerdown", () => history.pushState(null, "", here()));
  document.querySelector("[data-live-link]")?.addEventListener("click", (event) => { event.preventDefault(); show(null, true); });
  document.querySelector("[data-pause]")?.addEventListener("click", () => { stop(); if (isLive()) show(Date.now() - 1000, true); });
  addEventListener("popstate", () => { if (location.search !== shown) location.reload(); });
  document.querySelector(".moment")?.addEventListener("submit", (event) => { // with what the page shows now, not what it was loaded with
    event.preventDefault();
    const url = here(), typed = new FormData(event.target);
    for (const name of ["from", "until", "page", "how", "at", "known"]) url.searchParams.delete(name);
    for (const name of ["at", "known"]) if (typed.get(name)) url.searchParams.set(name, typed.get(name));
    location.assign(url);
  });

  // --- play ----------------------------------------------------------------------------------------------------------------------------
  let playing = null;
  const buttons = [...document.querySelectorAll("[data-play]")];
  const stop = () => { if (!playing) return; clearInterval(playing); playing = null; status.setAttribute("aria-live", "polite"); for (const each of buttons) each.setAttribute("aria-pressed", "false"); };
  const play = (button) => {
    const again = button.getAttribute("aria-pressed") === "true";
    stop();
    if (again) return;
    const speed = Number(button.dataset.play), beganMs = Date.now();
    const fromMs = isLive() ? Math.max(Date.now() - 3_600_000, Number(slider?.dataset.began) || 0) : moment(); // from live: the last hour
    button.setAttribute("aria-pressed", "true");
    status.setAttribute("aria-live", "off"); // or a screen reader would tell every second
    playing = setInterval(() => show(fromMs + speed * (Date.now() - beganMs)), 1000);
    show(fromMs);
  };
  for (const each of buttons) each.addEventListener("click", () => play(each));

  // --- keys ----------------------------------------------------------------------------------------------------------------------------
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.target.closest("input, select, textarea")) return;
    const keys = {
      "/": () => document.getElementById("find")?.focus(),
      l: () => show(null),
      p: () => { const one = buttons.find((each) => each.getAttribute("aria-pressed") === "true") ?? buttons[0]; if (one) play(one); },
      ArrowLeft: () => { stop(); show(moment() - 60_000); },
      ArrowRight: () => { stop(); show(moment() + 60_000); },
    };
    if (keys[event.key]) { event.preventDefault(); keys[event.key](); }
  });

  // --- a picture: drag over it to look closer --------------------------------------------------------------------------------------------
  content.addEventListener("pointerdown", (down) => {
    const picture = down.target.closest("[data-picture]"), lanes = picture?.closest("section")?.querySelectorAll(".zoom time");
    if (!picture || lanes.length < 2 || down.button !== 0) return;
    const at = (event) => { const box = picture.getBoundingClientRect(); return Math.min(1000, Math.max(0, (event.clientX - box.left) / box.width * 1115 - 110)); };
    held = true;
    const begin = at(down), mark = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    mark.setAttribute("class", "drag"); mark.setAttribute("y", "0"); mark.setAttribute("height", "100%");
    const move = (event) => { if (Math.abs(at(event) - begin) < 8) return; if (!mark.isConnected) picture.append(mark); mark.setAttribute("x", Math.min(begin, at(event))); mark.setAttribute("width", Math.abs(at(event) - begin)); };
    const up = (event) => {
      const end = at(event);
      held = false;
      if (!mark.isConnected) { if (askAgain) { askAgain = false; look(); } return; }
      mark.remove();
      addEventListener("click", (click) => { click.preventDefault(); click.stopPropagation(); }, { capture: true, once: true });
      const [from, until] = [...lanes].slice(0, 2).map((each) => Date.parse(each.dateTime)), url = here();
      const ms = (x) => new Date(from + (until - from) * x / 1000).toISOString();
      url.searchParams.set("from", ms(Math.min(begin, end))); url.searchParams.set("until", ms(Math.max(begin, end)));
      url.hash = "timeline";
      setTimeout(() => location.assign(url), 0);
    };
    const ended = new AbortController();
    const whileDrawn = { signal: ended.signal };
    addEventListener("pointermove", move, whileDrawn);
    addEventListener("pointerup", (event) => { ended.abort(); up(event); }, whileDrawn);
    addEventListener("pointercancel", () => { ended.abort(); mark.remove(); held = false; }, whileDrawn);
  });
  content.addEventListener("dragstart", (event) => { if (event.target.closest("[data-picture]")) event.preventDefault(); });

  // --- a queue's day (uPlot) -------------------------------------------------------------------------------------------------------------
  let drawn;
  const chart = () => {
    const place = document.querySelector("[data-chart]");
    if (!place || typeof uPlot === "undefined" || (drawn?.told === place.dataset.chart && place.contains(drawn.plot.root))) return;
    drawn?.plot.destroy();
    const [at, half, most, level] = JSON.parse(place.dataset.chart), color = getComputedStyle(document.body).color;
    const tone = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const minutes = (value) => value === null || value === undefined ? "–" : `${Math.floor(value / 60)}:${String(Math.floor(value % 60)).padStart(2, "0")}`;
    const axis = { stroke: color, grid: { stroke: "rgba(128,128,128,.25)", width: 1 }, ticks: { show: false } };
    const plot = new uPlot({
      width: Math.max(300, place.clientWidth), height: 220, tzDate: (s) => uPlot.tzDate(new Date(s * 1000), zone),
      scales: { level: { range: [0, 100] } },
      axes: [{ ...axis, values: (_, all) => all.map((s) => clock.format(s * 1000).slice(11, 16)) }, { ...axis, values: (_, all) => all.map(minutes), size: 60 }, { ...axis, scale: "level", side: 1, values: (_, all) => all.map((each) => `${each} %`), grid: { show: false } }],
      series: [{}, { label: "Half waited up to", stroke: tone("--load"), width: 2, value: (_, each) => minutes(each) }, { label: "90 % waited up to", stroke: tone("--away"), width: 2, value: (_, each) => minutes(each) },
        { label: "Service level", scale: "level", stroke: tone("--free"), width: 2, dash: [6, 4], value: (_, each) => each === null || each === undefined ? "–" : `${Math.round(each)} %` }],
    }, [at.map((ms) => ms / 1000), half.map((ms) => ms === null ? null : ms / 1000), most.map((ms) => ms === null ? null : ms / 1000), level.map((each) => each === null ? null : each * 100)], place);
    drawn = { told: place.dataset.chart, plot };
  };
  chart();
})();
