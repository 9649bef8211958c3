"use strict";
// The playground: draws what the tokenizer and the model give. What a person typed goes into the page as text, never as markup.
{
  const at = (id) => document.getElementById(id), SHOWN = 2000, COLOURS = 4;
  const { charsmap, vocabularies, model: MODELS } = globalThis.SPANISH_TOK_VOCABULARIES, here = document.currentScript.src;
  const tokenizers = new Map(Object.entries(vocabularies).map(([name, data]) => [name, spanishTokenizer({ ...data, charsmap })]));
  const EXAMPLES = ["¡Qué MAÑANA tan fría!", "El 21½ % de la CIGÜEÑA… hola😀mundo", "Man\u0303ana: N\u0303ANDU\u0301", "n.º 3: «¿vos sabés?»", "</s> <b>markup</b>"];

  function element(name, content, className) {
    const made = document.createElement(name);
    made.textContent = content;
    if (className) made.className = className;
    return made;
  }
  const coloured = (name, pieces) => pieces.slice(0, SHOWN).map((piece, place) => element(name, piece, `pg-piece-${place % COLOURS}`));

  function draw() {
    const text = at("pg-text").value, chosen = tokenizers.get(at("pg-vocabulary").value), found = chosen.steps(text);
    const ids = chosen.encode(text), offsets = chosen.offsets(text), normal = chosen.joined(found);
    at("pg-pieces").replaceChildren(...coloured("li", ids.map((id) => chosen.pieces[id])).map((item, place) => {
      item.append(element("span", ids[place]), element("span", offsets[place].join("–")));
      return item;
    }));
    at("pg-status").textContent = `${ids.length} tokens, ${normal ? normal.split(" ").length : 0} words, ${normal.length} characters`;
    at("pg-beside").replaceChildren(...[...tokenizers].flatMap(([name, one]) => {
      const pieces = one.encode(text).map((id) => one.pieces[id]), shown = element("dd", "", "pg-cut");
      shown.lang = "es";
      shown.append(...coloured("span", pieces));
      return [element("dt", `${name}: ${pieces.length} tokens`), shown];
    }));
    at("pg-before").replaceChildren(...found.slice(0, SHOWN).map(([from, to]) => element(from === to ? "span" : "mark", from)));
    at("pg-after").textContent = normal.slice(0, 20 * SHOWN);
  }

  let model = null;
  const loaded = () => model ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = here.replace(/[^/]*$/, "weights.js");
    script.onload = () => resolve(spanishModel(globalThis.SPANISH_TOK_WEIGHTS, globalThis.SPANISH_TOK_CONFIG));
    script.onerror = () => reject(new Error("The weights could not be loaded."));
    document.body.append(script);
  });
  const breath = () => new Promise((resolve) => setTimeout(resolve)); // lets the page draw

  // The filled text; `show` sees it grow. near: the smallest margin between the two best ids.
  async function fill(text, show = () => {}) {
    const tokenizer = tokenizers.get(MODELS), prompt = spanishPrompt(text, tokenizer), { write } = await loaded();
    const written = [];
    let near = Infinity, drawn = Date.now();
    for (const { id, margin } of write(prompt.ids)) {
      near = Math.min(near, margin);
      if (id !== 1) written.push(id);
      if (Date.now() - drawn > 100) {
        show(prompt.fill(written));
        await breath();
        drawn = Date.now();
      }
    }
    return { text: prompt.fill(written), ids: written, near };
  }

  let running = false;
  async function filled() {
    if (running) return;
    running = true;
    at("pg-time").textContent = "Loading the model, then writing …";
    await breath();
    const begin = performance.now();
    try {
      const { text, ids } = await fill(at("pg-prompt").value, (sofar) => { at("pg-filled").textContent = sofar; });
      at("pg-filled").textContent = text;
      at("pg-time").textContent = `${ids.length} ids in ${((performance.now() - begin) / 1000).toFixed(1)} s`;
    } catch (error) {
      at("pg-filled").textContent = error.message;
      at("pg-time").textContent = "";
    }
    running = false;
  }

  function insertGap() {
    const box = at("pg-prompt"), k = (box.value.match(/<extra_id_\d+>/g) ?? []).length;
    box.setRangeText(`<extra_id_${k}>`, box.selectionStart, box.selectionEnd, "end");
    box.focus();
  }

  for (const name of tokenizers.keys()) at("pg-vocabulary").append(element("option", name));
  for (const example of EXAMPLES) {
    const button = element("button", example);
    button.type = "button";
    button.lang = "es";
    button.addEventListener("click", () => { at("pg-text").value = example; draw(); });
    at("pg-examples").append(button);
  }
  at("pg-text").addEventListener("input", draw);
  at("pg-vocabulary").addEventListener("change", draw);
  at("pg-fill").addEventListener("click", filled);
  at("pg-gap").addEventListener("click", insertGap);
  draw();
  globalThis.spanishTok = { ...tokenizers.get("es-5000"), tokenizers, fill };
}
