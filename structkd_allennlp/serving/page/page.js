// The page. User text reaches the document as text only, never as HTML.

const $ = (id) => document.getElementById(id);
const EXAMPLE = "Ana Silva lives in Porto.\nDer Rhein fließt durch Köln.\n東京は日本の首都です。";
const OUTSIDE = "O";
const MOST_BARS = 8;
const LEAST_BAR = 0.0005; // what is less goes into one bar

let models = [];
let running = null; // the request under way
let opened = null; // the token whose distribution is shown

/** An element; `properties` are attributes, `children` elements or text. */
function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

const percent = (probability) => {
  const digits = probability > 0.9995 || probability < 0.0995 ? 2 : 1;
  return `${(100 * probability).toFixed(digits)} %`;
};

const plural = (count, noun, nouns = `${noun}s`) => `${count} ${count === 1 ? noun : nouns}`;

function say(message, isError = false) {
  $("status").textContent = message;
  $("status").className = isError ? "error" : "";
}

async function json(response) {
  let body = null;
  try {
    body = await response.json();
  } catch {
    // Something between here and the server has answered in its own words.
  }
  if (!response.ok || body === null) {
    throw new Error(body?.error ?? `the server answers ${response.status}`);
  }
  return body;
}

async function start() {
  $("text").value = EXAMPLE;
  showNothing();
  try {
    models = await json(await fetch("api/models"));
  } catch (error) {
    say(`The models cannot be listed: ${error.message}. Load the page again.`, true);
    return;
  }
  for (const { name } of models) {
    $("model").append(element("option", { value: name }, name));
    $("other").append(element("option", { value: name }, name));
  }
  $("other").disabled = models.length < 2;
  const languages = new Set(models.flatMap(({ info }) => info.languages ?? []));
  for (const language of languages) $("languages").append(element("option", { value: language }));
  for (const { name, card } of models) {
    // What stands between the first dashes is for machines.
    const text = element("pre", {}, card.replace(/^---\n[^]*?\n---\n+/, ""));
    $("cards").append(element("details", {}, element("summary", {}, `About ${name}`), text));
  }
}

function showNothing() {
  $("results").replaceChildren(element("p", { class: "empty" }, "Tagged sentences appear here."));
}

async function tag() {
  const sentences = $("text").value.split("\n").filter((line) => line.trim());
  if (!sentences.length) {
    showNothing();
    say("Write a sentence first.", true);
    return;
  }
  running?.abort();
  const mine = (running = new AbortController());
  const names = [...new Set([$("model").value, $("other").value])].filter(Boolean);
  $("results").setAttribute("aria-busy", "true");
  say("Tagging …");
  try {
    const answers = await Promise.all(names.map((name) => ask(name, sentences, mine.signal)));
    show(answers);
    const words = answers[0].results.reduce((sum, { words }) => sum + words.length, 0);
    say(`${plural(sentences.length, "sentence")}, ${plural(words, "token")}.`);
  } catch (error) {
    // A later request has taken the place of this one, and speaks for itself.
    if (mine !== running) return;
    mine.abort();
    say(`Not tagged: ${error.message}.`, true);
  } finally {
    if (mine === running) $("results").removeAttribute("aria-busy");
  }
}

async function ask(model, sentences, signal) {
  const request = {
    model,
    sentences,
    language: $("language").value.trim() || null,
    top_k: $("sequences").valueAsNumber,
    marginals: true,
  };
  const response = await fetch("api/tag", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(request),
    signal,
  });
  return json(response);
}

function show(answers) {
  close();
  const sentences = answers[0].results.map((first, i) => {
    const results = answers.map((answer) => answer.results[i]);
    const article = element("article", {
      class: answers.length > 1 ? "sentence two" : "sentence",
      "aria-label": `Sentence ${i + 1}`,
    });
    results.forEach((result, m) => {
      const named = answers.length > 1 ? answers[m].model : null;
      article.append(modelPart(result, results[1 - m], named));
    });
    return article;
  });
  $("results").replaceChildren(...sentences);
}

function modelPart(result, other, name) {
  const part = element("div", { class: "model" });
  if (name !== null) part.append(element("h3", {}, name));
  // Tags can be compared where both models have split the sentence alike.
  const comparable = other && other.words.join("\n") === result.words.join("\n");
  const tokens = element("div", {
    class: "tokens",
    role: "group",
    dir: "auto",
    "aria-label": "Tokens. Arrow keys move, Enter shows a distribution",
  });
  result.words.forEach((word, i) => {
    tokens.append(tokenButton(result, i, comparable && other.tags[i] !== result.tags[i]));
  });
  part.append(tokens);
  if (result.entities.length) part.append(entityPart(result.entities));
  if (result.top_k.length > 1) part.append(sequencePart(result));
  return part;
}

function tokenButton(result, i, differs) {
  const word = result.words[i];
  const label = result.tags[i];
  const probability = result.tag_probabilities[i];
  const button = element(
    "button",
    {
      type: "button",
      class: `token${label === OUTSIDE ? " outside" : ""}${differs ? " differs" : ""}`,
      // One stop for the tab key; arrow keys go on from there.
      tabindex: i === 0 ? "0" : "-1",
      "aria-expanded": "false",
      "aria-label": `${word}, ${label}, ${percent(probability)}${differs ? ", differs" : ""}`,
    },
    element("span", {}, word),
    element("span", { class: "tag" }, label),
  );
  const share = Math.min(1, Math.max(0, (probability - 0.4) / 0.6));
  button.style.setProperty("--share", `${100 * share}%`);
  button.addEventListener("click", () => {
    if (opened?.button === button) close();
    else open(button, word, result.marginals[i]);
  });
  return button;
}

function entityPart(entities) {
  const list = element("ul");
  for (const entity of entities) {
    const place = entity.start_char == null ? "" : ` ${entity.start_char}–${entity.end_char}`;
    list.append(
      element(
        "li",
        { class: "row" },
        element("span", { class: "number" }, percent(entity.probability)),
        element(
          "span",
          {},
          element("span", { class: "label" }, entity.label),
          " ",
          element("bdi", {}, entity.text),
          element("span", { class: "quiet" }, place),
        ),
      ),
    );
  }
  return element("div", { class: "part" }, element("h4", {}, "Entities"), list);
}

function sequencePart({ words, top_k: sequences }) {
  const list = element("ol");
  const best = sequences[0].tags;
  sequences.forEach(({ tags, probability }, rank) => {
    const changes = element("span");
    if (rank === 0) changes.append(element("span", { class: "quiet" }, "the tags above"));
    tags.forEach((label, i) => {
      if (label === best[i]) return;
      changes.append(
        element(
          "span",
          { class: "change" },
          element("bdi", {}, words[i]),
          element("span", { class: "quiet" }, ` ${best[i]} → `),
          element("span", { class: "label" }, label),
        ),
      );
    });
    const number = element("span", { class: "number" }, percent(probability));
    list.append(element("li", { class: "row" }, number, changes));
  });
  return element("div", { class: "part" }, element("h4", {}, "Best sequences"), list);
}

function open(button, word, marginals) {
  close();
  const ranked = Object.entries(marginals).sort((a, b) => b[1] - a[1]);
  const bars = ranked.slice(0, MOST_BARS).filter(([, probability]) => probability >= LEAST_BAR);
  const rest = ranked.slice(bars.length);
  if (rest.length) {
    const sum = rest.reduce((total, [, probability]) => total + probability, 0);
    bars.push([plural(rest.length, "other"), sum]);
  }
  const list = element("ul");
  for (const [label, probability] of bars) {
    const meter = element("meter", { min: 0, max: 1, value: probability, "aria-hidden": "true" });
    const number = element("span", { class: "number" }, percent(probability));
    list.append(element("li", { class: "bar" }, element("span", {}, label), meter, number));
  }
  const title = element("h4", { id: "token" }, element("bdi", {}, word));
  const panel = element(
    "div",
    { class: "distribution", id: "distribution", role: "region", "aria-live": "polite", "aria-labelledby": "token" },
    title,
  );
  const sentence = button.closest(".sentence");
  sentence.append(panel);
  panel.append(list);
  // Over the page rather than in it: nothing moves.
  const outer = sentence.getBoundingClientRect();
  const inner = button.getBoundingClientRect();
  const left = Math.min(inner.left - outer.left, outer.width - panel.offsetWidth - 8);
  panel.style.left = `${Math.max(8, left)}px`;
  panel.style.top = `${inner.bottom - outer.top + 6}px`;
  panel.scrollIntoView({ block: "nearest" });
  button.setAttribute("aria-expanded", "true");
  button.setAttribute("aria-controls", "distribution");
  opened = { button, panel };
}

function close() {
  if (!opened) return;
  opened.panel.remove();
  opened.button.setAttribute("aria-expanded", "false");
  opened.button.removeAttribute("aria-controls");
  opened = null;
}

function onKey(event) {
  if (event.key === "Escape" && opened) {
    const { button } = opened;
    close();
    button.focus();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    $("form").requestSubmit();
    return;
  }
  const token = event.target.closest?.(".token");
  if (!token) return;
  const tokens = [...token.parentElement.children];
  const here = tokens.indexOf(token);
  const onward = getComputedStyle(token.parentElement).direction === "rtl" ? -1 : 1;
  const there = {
    ArrowRight: here + onward,
    ArrowLeft: here - onward,
    Home: 0,
    End: tokens.length - 1,
  }[event.key];
  if (there === undefined) return;
  event.preventDefault();
  const next = tokens[there];
  if (!next) return;
  token.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
  if (opened) next.click();
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  tag();
});
document.addEventListener("keydown", onKey);
document.addEventListener("click", (event) => {
  if (!event.target.closest(".token, .distribution")) close();
});
start();
