// Shows the summary while an order is typed, looks after a waiting top-up, and copies what is to be transferred.
// Without this file the same pages work by their buttons.
"use strict";

const PAUSE_MS = 200;
// Codes that are tried in vain are counted: a code is asked about when it is written, not letter by letter.
const CODE_PAUSE_MS = 900;
const POLL_MS = 2000;
const POLLS = 150;

function liveSummary(form) {
  const summary = document.getElementById("summary");
  const spoken = document.getElementById("spoken");
  const amount = form.elements.amount;
  let timer = 0;
  let running = null;
  let unknown = null;

  function showError(name, message) {
    const place = document.getElementById(`${name}-error`);
    if (!place) return;
    place.textContent = message || "";
    place.hidden = !message;
    const input = document.getElementById(name);
    if (input) input.toggleAttribute("aria-invalid", Boolean(message));
    if (input && message) input.setAttribute("aria-invalid", "true");
  }

  async function refresh() {
    if (running) running.abort();
    running = new AbortController();
    const fields = new FormData(form);
    const query = new URLSearchParams();
    for (const name of ["amount", "gateway", "code"]) query.set(name, fields.get(name) || "");
    // One that is not known is not asked about again while the amount changes.
    const known = unknown && unknown.code === query.get("code") ? unknown : null;
    if (known) query.set("code", "");
    try {
      const answer = await fetch(`${form.dataset.quoteUrl}?${query}`, { signal: running.signal });
      if (!answer.ok) throw new Error(answer.status);
      const priced = await answer.json();
      if (known) priced.errors.code = known.message;
      else unknown = priced.unknown ? { code: query.get("code"), message: priced.errors.code } : null;
      summary.innerHTML = priced.summary;
      const pay = summary.querySelector("button");
      if (pay && known) pay.disabled = true;
      spoken.textContent = priced.spoken;
      for (const name of ["amount", "gateway", "code"]) showError(name, priced.errors[name]);
      summary.removeAttribute("aria-busy");
    } catch (problem) {
      if (problem.name !== "AbortError") for (const button of withoutScript) button.hidden = false;
    }
  }

  function typed(event) {
    // What is shown is no longer what stands in the form: nobody pays it.
    summary.setAttribute("aria-busy", "true");
    const pay = summary.querySelector("button");
    if (pay) pay.disabled = true;
    for (const chip of chips) chip.setAttribute("aria-pressed", String(chip.value === amount.value));
    clearTimeout(timer);
    const inCode = event && event.type === "input" && event.target.name === "code";
    timer = setTimeout(refresh, inCode ? CODE_PAUSE_MS : PAUSE_MS);
  }

  const withoutScript = form.querySelectorAll("[data-without-script]");
  const chips = form.querySelectorAll("button[name=chip]");
  for (const button of withoutScript) button.hidden = true;
  for (const chip of chips) {
    chip.setAttribute("aria-pressed", String(chip.value === amount.value));
    chip.addEventListener("click", (event) => {
      event.preventDefault();
      amount.value = chip.value;
      typed();
    });
  }
  form.addEventListener("input", typed);
  form.addEventListener("submit", (event) => {
    if (event.submitter && event.submitter.value === "pay") return;
    event.preventDefault();
    typed();
  });
}

function watch(place) {
  let left = POLLS;
  let leaves = false;
  const timer = setInterval(async () => {
    left -= 1;
    if (left <= 0) clearInterval(timer);
    const answer = await fetch(place.dataset.pollUrl).catch(() => null);
    const changed = answer && answer.ok && (await answer.json()).state !== place.dataset.state;
    if (changed && !leaves) location.reload();
  }, POLL_MS);
  // Whoever sends a form leaves the page: a reload would take that back, and the next question may be another role's.
  document.addEventListener("submit", () => {
    leaves = true;
    clearInterval(timer);
  });
}

function copyable(place) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "secondary small";
  button.textContent = "Copy";
  button.setAttribute("aria-label", `Copy ${place.dataset.copy}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(place.textContent);
    document.getElementById("copied").textContent = `${place.dataset.copy} copied`;
    button.textContent = "Copied";
  });
  place.after(button);
}

for (const form of document.querySelectorAll("form[data-quote-url]")) liveSummary(form);
for (const place of document.querySelectorAll("[data-poll-url]")) watch(place);
if (navigator.clipboard) for (const place of document.querySelectorAll("[data-copy]")) copyable(place);
