"""The closed Spanish alphabet, and the facts about Unicode that its table needs."""

# The closed alphabet: what normalized text may hold, and nothing else
BASIC_LETTERS = "abcdefghijklmnopqrstuvwxyz"
LETTERS = BASIC_LETTERS + "áéíóúüñªº"
DIGITS = "0123456789"
OTHERS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~¿¡°€«»—"
SPANISH = " " + LETTERS + DIGITS + OTHERS

SPACE_MARK = "▁"  # SentencePiece writes a space as this character; in the original text it is a space too

CODE_POINTS = 0x110000  # how many Unicode has, surrogates included
SURROGATES = range(0xD800, 0xE000)  # code points that are no characters
FIRST_MARK, LAST_MARK = 0x300, 0x33F  # combining marks that may follow a base letter as its pair

# Letters that join their neighbour in one grapheme cluster: Grapheme_Cluster_Break=Prepend, and two vowel signs
# that are letters. The tokenizers library looks up whole clusters, so the table must delete these letters.
JOINERS = (
    "\u0d4e\u0e33\u0eb3\U000111c2\U000111c3\U000113d1\U0001193f\U00011941\U00011a3a"
    "\U00011a84\U00011a85\U00011a86\U00011a87\U00011a88\U00011a89\U00011d46\U00011f02"
)
