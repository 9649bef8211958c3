"use strict";
// A vocabulary at work in a page: normalization by the model's own table, then the best path through the pieces of each
// word. The report and the playground share this script; DATA is what html.live_data gives.
function spanishTokenizer(DATA) {
  // A compiled charsmap is: uint32 size of a trie, the trie (a double array of uint32), then expansions that end in NUL.
  const charsmap = Uint8Array.from(atob(DATA.charsmap), (char) => char.charCodeAt(0));
  const view = new DataView(charsmap.buffer);
  const trieBytes = charsmap.length ? view.getUint32(0, true) : 0;
  const trie = Uint32Array.from({ length: trieBytes / 4 }, (_, place) => view.getUint32(4 + 4 * place, true));
  const utf8 = new TextEncoder(), text8 = new TextDecoder("utf-8", { ignoreBOM: true });
  const expansions = new Map(); // place of an expansion -> text

  function expansion(place) {
    if (!expansions.has(place)) {
      const begin = 4 + trieBytes + place;
      expansions.set(place, text8.decode(charsmap.subarray(begin, charsmap.indexOf(0, begin))));
    }
    return expansions.get(place);
  }

  // A unit of the trie: bits 0-7 the byte that leads to it, bit 8 whether a value follows, bits 9-31 where its children are.
  const children = (unit) => (unit >>> 10) << ((unit & 0x200) >>> 6);

  // [bytes, text]: the longest rule that applies at a place, or null.
  function longestRule(bytes, begin) {
    if (!trie.length) return null;
    let node = children(trie[0]), found = null;
    for (let end = begin; end < bytes.length; end++) {
      node ^= bytes[end];
      const unit = trie[node];
      if (unit === undefined || (unit & 0x800000ff) !== bytes[end]) break;
      node ^= children(unit);
      if (unit & 0x100) found = [end + 1 - begin, expansion(trie[node] & 0x7fffffff)];
    }
    return found;
  }

  const lengthOf = (lead) => (lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4);

  // [[from, to], ...]: every step of normalization. NUL counts as U+0001, half a surrogate pair as U+FFFD.
  function steps(text) {
    const bytes = utf8.encode(text.replaceAll("\0", "\u0001")), found = [];
    for (let begin = 0; begin < bytes.length; ) {
      const size = lengthOf(bytes[begin]);
      const [length, to] = longestRule(bytes, begin) ?? [size, text8.decode(bytes.subarray(begin, begin + size))];
      found.push([text8.decode(bytes.subarray(begin, begin + length)), to]);
      begin += length;
    }
    return found;
  }

  const joined = (found) => found.map(([, to]) => to).join("").replace(/ +/g, " ").replace(/^ | $/g, "");
  const normalize = (text) => joined(steps(text));

  const idOf = new Map(); // piece -> id, of those that text can become
  let longest = 0;
  DATA.pieces.forEach((piece, id) => {
    if (DATA.scores[id] !== null) {
      idOf.set(piece, id);
      longest = Math.max(longest, piece.length);
    }
  });

  // The ids of one word: whole scores, strictly better wins, the earliest start first, as in sentencepiece.
  function idsOfWord(word) {
    const text = "▁" + word, best = new Array(text.length + 1).fill(null);
    best[0] = { score: 0 };
    for (let start = 0; start < text.length; start++) {
      if (!best[start]) continue;
      for (let end = start + 1; end <= Math.min(text.length, start + longest); end++) {
        const id = idOf.get(text.slice(start, end));
        if (id === undefined) continue;
        const score = best[start].score + DATA.scores[id];
        if (!best[end] || score > best[end].score) best[end] = { score, start, id };
      }
    }
    const ids = [];
    for (let end = text.length; end > 0; end = best[end].start) ids.push(best[end].id);
    return ids.reverse();
  }

  const known = new Map(); // word -> ids
  function encodeNormalized(text) {
    const ids = [];
    for (const word of text ? text.split(" ") : []) {
      if (!known.has(word)) {
        if (known.size > 50000) known.clear();
        known.set(word, idsOfWord(word));
      }
      for (const id of known.get(word)) ids.push(id);
    }
    return ids;
  }

  // [begin, end] of each normalized character in the text, in code points; of a character that became several the first has all.
  function sources(found) {
    const spans = [];
    let last = "", begin = 0;
    for (const [from, to] of found) {
      const end = begin + Array.from(from).length;
      for (const char of to) {
        if (char !== " " || (last && last !== " ")) {
          spans.push([begin, end]);
          last = char;
          begin = end;
        }
      }
      begin = end;
    }
    if (last === " ") spans.pop();
    return spans;
  }

  // [[begin, end], ...]: the characters of the text that each id stands for, as Tokenizer.offsets gives them.
  function offsets(text) {
    const found = steps(text), spans = sources(found);
    let index = -1, behind = 0;
    return encodeNormalized(joined(found)).map((id) => {
      const size = DATA.pieces[id].length;
      const covered = spans.slice(Math.max(index, 0), index + size).filter(([begin, end]) => begin < end);
      const begin = covered.length ? covered[0][0] : behind;
      if (covered.length) behind = covered[covered.length - 1][1];
      index += size;
      return [begin, behind];
    });
  }

  const decode = (ids) => ids.map((id) => (DATA.scores[id] === null ? "" : DATA.pieces[id])).join("").replaceAll("▁", " ").replace(/^ /, "");
  const encode = (text) => encodeNormalized(normalize(text));
  const special = (id) => DATA.scores[id] === null;
  return { encode, special, encodeNormalized, decode, normalize, offsets, steps, joined, pieces: DATA.pieces, size: DATA.size };
}
