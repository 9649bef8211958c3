"""What cleaning looks at.

Signs of faults in raw text, measures of normalized text, and hashes of texts before.
"""

import numpy as np

from spanish_tok.kernels import kernel
from spanish_tok.kernels.bytes import MULTIPLIER, copy_letters, enlarged, equal_bytes, low_bytes, word_at
from spanish_tok.kernels.hash import grown, slot_of, xxh64
from spanish_tok.kernels.text.normalize import SPACE

MOJIBAKE, ENTITY, TAG, SUBTITLE, CONTROL = 1, 2, 4, 8, 16  # bits of `suspicions`
LONGEST_ENTITY = 32  # bytes; of the longest name of HTML, &CounterClockwiseContourIntegral;
NEW, SAME, SIMILAR = 0, 1, 2  # what `repeats` says
MEASURES = 6
WORDS, LETTERS, CHARACTERS, FUNCTION_WORDS, REPEATS, ALPHANUMERIC = range(MEASURES)  # columns of `measure`


@kernel
def suspicions(data, offsets, plain):
    """Return bits of what each row of UTF-8 text may hold, uint8[rows].

    Bytes that are `plain` (bool[256]) begin nothing.
    """
    flags = np.zeros(offsets.size - 1, np.uint8)
    for r in range(flags.size):
        end = offsets[r + 1]
        bits = 0
        for i in range(offsets[r], end):
            if not plain[data[i]]:
                bits |= suspicion(data, i, end)
        flags[r] = bits
    return flags


@kernel
def suspicion(data, i, end):
    """Return what the byte data[i] and those after it may begin."""
    byte = data[i]
    after = data[i + 1] if i + 1 < end else np.uint8(SPACE)
    if byte == 0xC3:  # Ã, Â, â, ð and then no ASCII: the first bytes of UTF-8 read as Windows-1252
        if after in (0x83, 0x82, 0xA2, 0xB0) and i + 2 < end and data[i + 2] >= 0x80:
            return MOJIBAKE
    elif byte == 0xC2:  # U+0080-U+009F: Windows-1252 read as Latin-1; U+00AD
        if after < 0xA0:
            return MOJIBAKE | CONTROL
        if after == 0xAD:
            return CONTROL
    elif byte == 0x26:
        return ENTITY if begins_entity(data, i + 1, end) else 0
    elif byte == 0x3C:
        return TAG if after in (0x2F, 0x21) or 0x61 <= after | 0x20 <= 0x7A else 0
    elif byte == 0x7B:
        return SUBTITLE if after == 0x5C else 0
    elif byte == 0x3E:
        return SUBTITLE if i >= 2 and data[i - 1] == 0x2D and data[i - 2] == 0x2D else 0
    elif byte < SPACE or byte == 0x7F:
        return CONTROL
    elif i + 2 < end:
        return CONTROL if invisible(byte, after, data[i + 2]) else 0
    return 0


@kernel
def begins_entity(data, i, end):
    """Whether letters, digits and # from data[i] on end with a semicolon soon."""
    for k in range(i, min(i + LONGEST_ENTITY, end)):
        if data[k] == 0x3B:
            return k > i
        if not (0x61 <= data[k] | 0x20 <= 0x7A or 0x30 <= data[k] <= 0x39 or data[k] == 0x23):
            return False
    return False


@kernel
def invisible(first, second, third):
    """Return whether three bytes are an invisible character.

    U+200B-200F, U+202A-202E, U+2060-206F, U+FEFF, U+FFF9-FFFB, U+FFFE or U+FFFF.
    """
    if first == 0xE2:
        if second == 0x80:
            return 0x8B <= third <= 0x8F or 0xAA <= third <= 0xAE
        return second == 0x81 and 0xA0 <= third <= 0xAF
    if first != 0xEF:
        return False
    return (second == 0xBB and third == 0xBF) or (second == 0xBF and (0xB9 <= third <= 0xBB or third >= 0xBE))


@kernel
def measure(data, offsets, function_words):
    """Measure rows of normalized text.

    Returns (int32[rows, MEASURES], uint64[rows], uint64[rows]).

    The measures are: words that hold a letter, letters, characters but spaces, function words among the runs
    of letters, how often one word stands in direct succession at most, letters and digits; all 0 for an empty row.
    The hashes are XXH64 of the row and of its letters and digits alone. `function_words` is uint64[slots], see
    `is_listed`.
    """
    rows = offsets.size - 1
    measures = np.empty((rows, MEASURES), np.int32)
    exact, near = np.empty(rows, np.uint64), np.empty(rows, np.uint64)
    kept = np.empty(1024, np.uint8)
    for r in range(rows):
        begin, end = offsets[r], offsets[r + 1]
        kept = enlarged(kept, end - begin)
        size, words, letters, characters, listed, alphanumeric, repetitions = measure_row(
            data, begin, end, function_words, kept
        )
        measures[r, WORDS], measures[r, LETTERS], measures[r, CHARACTERS] = words, letters, characters
        measures[r, FUNCTION_WORDS], measures[r, ALPHANUMERIC] = listed, alphanumeric
        measures[r, REPEATS] = repetitions
        exact[r] = xxh64(data, begin, end, np.uint64(0))
        near[r] = xxh64(kept, 0, size, np.uint64(0))
    return measures, exact, near


@kernel
def measure_row(data, begin, end, function_words, kept):
    """Count words and characters of data[begin:end].

    Its letters and digits go to `kept`.

    Returns (bytes of `kept`, words, letters, characters, function words, letters and digits, how often one word stands
    in direct succession at most).
    """
    size = words = letters = others = listed = digits = longest = repetitions = np.int64(0)
    letters_from = word_from = begin  # a run of letters, and this word
    last_from = last_end = begin  # the word before
    has_letter = False  # whether this word is counted already
    i = begin
    while True:
        run = copy_letters(data, i, end, kept, size)
        i += run
        size += run
        byte = data[i] if i < end else np.uint8(SPACE)
        length = 1 if byte < 0x80 else 2 if byte < 0xE0 else 3
        letter = length == 2 and (byte == 0xC3 or data[i + 1] == 0xAA or data[i + 1] == 0xBA)
        if letter:
            kept[size], kept[size + 1] = byte, data[i + 1]
            size += 2
        letters += run + letter
        words += not has_letter and run + letter > 0
        has_letter |= run + letter > 0
        if not letter:
            listed += is_listed(data, letters_from, i, function_words)
            letters_from = i + length
            if byte != SPACE:
                others += 1
                if 0x30 <= byte <= 0x39:
                    digits += 1
                    kept[size] = byte
                    size += 1
            elif i > word_from:
                same = i - word_from == last_end - last_from
                same = same and equal_bytes(data, word_from, data, last_from, i - word_from)
                repetitions = repetitions + 1 if same else 1
                longest = max(longest, repetitions)
                last_from, last_end, word_from, has_letter = word_from, i, i + 1, False
        if i >= end:
            return size, words, letters, letters + others, listed, letters + digits, longest
        i += length


@kernel
def is_listed(data, begin, end, table):
    """Whether the word data[begin:end] is in a table of words of up to 8 bytes.

    table: uint64[slots], each word as the little-endian number of its bytes, by open addressing from
    (number * MULTIPLIER) >> (64 - bits of slots) on; 0 is an empty slot.
    """
    if end <= begin or end - begin > 8:
        return False
    word = word_at(data, begin)
    if end - begin < 8:
        word = low_bytes(word, end - begin)
    mask = table.size - 1
    slot = np.int64((word * MULTIPLIER) >> np.uint64(32)) & mask
    while table[slot] != 0 and table[slot] != word:
        slot = (slot + 1) & mask
    return table[slot] == word


@kernel
def repeats(near, exact, asked, table, filled):
    """Which rows have the near hash of an earlier one: (uint8[rows], table, filled).

    Only rows that are `asked` about (bool) are looked at, and taken note of where they are NEW; SAME has the
    exact hash of the first row with its near hash too, SIMILAR has not. table: uint64[slots, 2], (near, exact),
    by open addressing; an exact hash of 0 would be an empty slot and is 1 there.
    """
    verdicts = np.zeros(near.size, np.uint8)
    for r in range(near.size):
        if asked[r]:
            if 4 * filled >= 3 * table.shape[0]:
                table = grown(table)
            slot = slot_of(table, near[r])
            if table[slot, 1] == 0:
                filled += 1
                table[slot, 0] = near[r]
                table[slot, 1] = max(exact[r], np.uint64(1))
            else:
                verdicts[r] = SAME if table[slot, 1] == max(exact[r], np.uint64(1)) else SIMILAR
    return verdicts, table, filled
