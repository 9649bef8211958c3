"use strict";
// A T5 in a page: int8 weights times activations in int16, both whole numbers, as the package's kernels compute
// (spanish_tok/kernels/nn/matmul_int8.py); sums of products are exact, what is between them is float32 or better.
function spanishModel(base64, config) {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const header = new DataView(bytes.buffer).getUint32(0, true); // safetensors: 8 bytes of length, JSON, numbers
  const entries = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + header)));
  const { d_model, d_kv, d_ff, num_heads: heads, num_layers, num_decoder_layers, vocab_size } = config;
  const inner = heads * d_kv, DEPTH = 320, LARGEST = 32767, round32 = Math.fround;

  function numbers(name) {
    const { dtype, data_offsets } = entries[name];
    const part = bytes.slice(8 + header + data_offsets[0], 8 + header + data_offsets[1]);
    return dtype === "I8" ? new Int8Array(part.buffer) : new Float32Array(part.buffer);
  }
  const matrix = (name) => ({ weights: numbers(name), scales: numbers(name + ".scale") });
  const attention = (name) => Object.fromEntries([..."qkvo"].map((part) => [part, matrix(`${name}.${part}.weight`)]));
  const stack = (side, count) => Array.from({ length: count }, (_, block) => {
    const layer = `${side}.block.${block}.layer`, last = side === "decoder" ? 2 : 1;
    return {
      self: attention(`${layer}.0.SelfAttention`), selfNorm: numbers(`${layer}.0.layer_norm.weight`),
      cross: last === 2 ? attention(`${layer}.1.EncDecAttention`) : null,
      crossNorm: last === 2 ? numbers(`${layer}.1.layer_norm.weight`) : null,
      wi: matrix(`${layer}.${last}.DenseReluDense.wi.weight`), wo: matrix(`${layer}.${last}.DenseReluDense.wo.weight`),
      ffNorm: numbers(`${layer}.${last}.layer_norm.weight`),
    };
  });
  const shared = matrix("shared.weight");
  const encoder = stack("encoder", num_layers), decoder = stack("decoder", num_decoder_layers);
  const norms = { encoder: numbers("encoder.final_layer_norm.weight"), decoder: numbers("decoder.final_layer_norm.weight") };
  norms.decoder = norms.decoder.map((weight) => round32(weight * round32(d_model ** -0.5)));
  const biasOf = (side) => numbers(`${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight`);
  const biases = { encoder: biasOf("encoder"), decoder: biasOf("decoder") };

  // Half to even, as rint does.
  function rint(x) {
    const low = Math.floor(x), rest = x - low;
    return rest < 0.5 ? low : rest > 0.5 ? low + 1 : low % 2 === 0 ? low : low + 1;
  }

  // {whole, step}: a row of numbers as int16 and one scale.
  function rounded(row) {
    let highest = 0;
    for (let i = 0; i < row.length; i++) highest = Math.max(highest, Math.abs(row[i]));
    const whole = new Int16Array(row.length);
    if (highest < 1e-30) return { whole, step: 0 };
    const factor = round32(LARGEST / highest);
    for (let i = 0; i < row.length; i++) whole[i] = rint(round32(row[i] * factor));
    return { whole, step: round32(highest / LARGEST) };
  }

  // x W^T of one row, into out.
  function multiply({ weights, scales }, row, out) {
    const { whole, step } = rounded(row), inputs = row.length;
    for (let output = 0; output < scales.length; output++) {
      const start = output * inputs;
      let total = 0;
      for (let first = 0; first < inputs; first += DEPTH) {
        const end = Math.min(inputs, first + DEPTH);
        let sum = 0;
        for (let i = first; i < end; i++) sum = (sum + Math.imul(weights[start + i], whole[i])) | 0;
        total = round32(total + round32(sum));
      }
      out[output] = total * round32(step * scales[output]);
    }
    return out;
  }
  const product = (weights, row) => multiply(weights, row, new Float32Array(weights.scales.length));

  function normalized(row, weight) {
    let squares = 0;
    for (let i = 0; i < d_model; i++) squares += row[i] * row[i];
    const factor = round32(1 / Math.sqrt(squares / d_model + config.layer_norm_epsilon));
    return row.map((value, i) => round32(value * factor) * weight[i]);
  }

  function add(row, more) {
    for (let i = 0; i < d_model; i++) row[i] += more[i];
  }

  function feedForward(layer, row) {
    const hidden = product(layer.wi, normalized(row, layer.ffNorm));
    for (let i = 0; i < d_ff; i++) hidden[i] = Math.max(0, hidden[i]);
    add(row, product(layer.wo, hidden));
  }

  const embedded = (id) => Float32Array.from({ length: d_model }, (_, i) => shared.weights[id * d_model + i] * shared.scales[id]);

  // The bucket of a distance key - query (Raffel et al. 2020), the logarithm in float32.
  function bucket(distance, bidirectional) {
    let count = config.relative_attention_num_buckets, ahead = 0;
    if (bidirectional) {
      count >>= 1;
      ahead = distance > 0 ? count : 0;
      distance = Math.abs(distance);
    } else distance = Math.max(-distance, 0);
    const single = count >> 1;
    if (distance < single) return ahead + distance;
    const far = round32(round32(Math.log(round32(distance / single))) / round32(Math.log(config.relative_attention_max_distance / single)));
    return ahead + Math.min(count - 1, single + Math.trunc(round32(far * (count - single))));
  }

  // Mix the values of one head for one query; bias of each key, or null.
  function attend(query, start, keys, values, bias) {
    const scores = new Float32Array(keys.length);
    let highest = -Infinity, sum = 0;
    for (let key = 0; key < keys.length; key++) {
      let score = 0;
      for (let i = 0; i < d_kv; i++) score += query[start + i] * keys[key].row[start + i];
      scores[key] = score * keys[key].scales[start / d_kv] + (bias ? bias(key) : 0);
      highest = Math.max(highest, scores[key]);
    }
    for (let key = 0; key < keys.length; key++) sum += scores[key] = Math.exp(scores[key] - highest);
    const mixed = new Float64Array(d_kv);
    for (let key = 0; key < keys.length; key++) {
      const share = round32((scores[key] / sum) * values[key].scales[start / d_kv]);
      for (let i = 0; i < d_kv; i++) mixed[i] += share * values[key].row[start + i];
    }
    return mixed;
  }

  function attended(query, keys, values, bias) {
    const mixed = new Float32Array(inner);
    for (let head = 0; head < heads; head++) {
      mixed.set(attend(query, head * d_kv, keys, values, bias ? (key) => bias(key, head) : null), head * d_kv);
    }
    return mixed;
  }

  const ONES = new Float32Array(heads).fill(1);
  const kept = (row) => ({ row, scales: ONES });

  // Keys and values that the decoder keeps: int16, one scale for each head.
  function narrow(row) {
    const whole = new Int16Array(inner), scales = new Float32Array(heads);
    for (let head = 0; head < heads; head++) {
      const part = rounded(row.subarray(head * d_kv, (head + 1) * d_kv));
      whole.set(part.whole, head * d_kv);
      scales[head] = part.step;
    }
    return { row: whole, scales };
  }

  function encode(ids) {
    const rows = ids.map(embedded), offset = ids.length - 1;
    const table = Array.from({ length: 2 * ids.length - 1 }, (_, place) => bucket(place - offset, true));
    for (const layer of encoder) {
      const inputs = rows.map((row) => normalized(row, layer.selfNorm));
      const [queries, keys, values] = [..."qkv"].map((part) => inputs.map((row) => product(layer.self[part], row)));
      const [k, v] = [keys.map(kept), values.map(kept)];
      rows.forEach((row, at) => {
        const bias = (key, head) => biases.encoder[table[key - at + offset] * heads + head];
        add(row, product(layer.self.o, attended(queries[at], k, v, bias)));
      });
      for (const row of rows) feedForward(layer, row);
    }
    return rows.map((row) => normalized(row, norms.encoder));
  }

  // A decoder under way: next(id) gives the logits after it.
  function start(ids) {
    const memory = encode(ids);
    const cross = decoder.map(({ cross: { k, v } }) => [k, v].map((part) => memory.map((row) => narrow(product(part, row)))));
    const cache = decoder.map(() => [[], []]);
    return function next(id) {
      const row = embedded(id);
      decoder.forEach((layer, at) => {
        const input = normalized(row, layer.selfNorm), [keys, values] = cache[at], here = keys.length;
        keys.push(narrow(product(layer.self.k, input)));
        values.push(narrow(product(layer.self.v, input)));
        const bias = (key, head) => biases.decoder[bucket(key - here, false) * heads + head];
        add(row, product(layer.self.o, attended(product(layer.self.q, input), keys, values, bias)));
        const query = product(layer.cross.q, normalized(row, layer.crossNorm));
        add(row, product(layer.cross.o, attended(query, ...cross[at], null)));
        feedForward(layer, row);
      });
      return product(shared, normalized(row, norms.decoder));
    };
  }

  // Greedy: yields {id, margin}: the most probable id, and how far the next best logit lies below.
  function* write(ids, limit = 128) {
    const next = start(ids);
    let last = config.decoder_start_token_id;
    for (let step = 0; step < limit; step++) {
      const logits = next(last);
      let best = 0, second = -1;
      for (let id = 1; id < vocab_size; id++) {
        if (logits[id] > logits[best]) [best, second] = [id, best];
        else if (second < 0 || logits[id] > logits[second]) second = id;
      }
      last = best;
      yield { id: best, margin: logits[best] - logits[second] };
      if (best === config.eos_token_id) return;
    }
  }
  return { write, encode };
}

// A prompt with typed gaps: {ids, fill}, as spanish_tok/generation/prompts.py makes them.
function spanishPrompt(text, tokenizer) {
  const parts = text.split(/<extra_id_(\d{1,9})>/), gaps = parts.filter((_, place) => place % 2).map(Number);
  const sentinel = (k) => tokenizer.size - 1 - k;
  for (const k of gaps) {
    if (k > 99) throw new Error(`There is no <extra_id_${k}>: they go from 0 to 99.`);
    if (gaps.indexOf(k) !== gaps.lastIndexOf(k)) throw new Error(`<extra_id_${k}> stands twice in the text. Number the gaps from 0 up.`);
  }
  const texts = parts.filter((_, place) => place % 2 === 0).map((part) => tokenizer.normalize(`1${part}1`).slice(1, -1));
  texts[0] = texts[0].trimStart();
  texts[texts.length - 1] = texts[texts.length - 1].trimEnd();

  function continued(part) { // the ids of a text that begins within a word
    if (!part) return [];
    const shield = /^\d/.test(part) ? "." : "1";
    return tokenizer.encode(shield + part).slice(tokenizer.encode(shield).length);
  }
  const ids = tokenizer.encode(texts[0]);
  gaps.forEach((k, place) => {
    const part = texts[place + 1];
    ids.push(sentinel(k), ...(part.startsWith(" ") ? tokenizer.encode(part) : continued(part)));
  });
  ids.push(1);

  function fill(written) {
    const found = [texts[0]], special = (id) => tokenizer.special(id);
    if (!gaps.length) return tokenizer.decode(written);
    let reached = 0, writing = false;
    for (const id of written) {
      if (special(id)) {
        const place = gaps.findIndex((k) => sentinel(k) === id);
        if (place >= reached + Number(writing)) {
          found.push(place > reached || writing ? texts.slice(reached + 1, place + 1).join("") : "");
          [reached, writing] = [place, true];
        } else writing = false;
      } else if (writing) found.push(tokenizer.pieces[id].replaceAll("▁", " "));
    }
    found.push(texts.slice(reached + 1).join(""));
    return found.join("").split(/ +/).filter(Boolean).join(" ");
  }
  return { ids, fill };
}
