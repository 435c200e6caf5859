// tokenizers_made.js - texts in many scripts, and tokenizers trained on them, for tokenizers.js. The texts are the names
// of languages, countries, scripts and currencies in Debian's iso-codes; the vocabularies are learned here, with plain
// loops, so that no data of anybody is needed.
'use strict';
const fs = require('fs');

const LANGUAGES = ['de', 'el', 'ru', 'ar', 'he', 'hi', 'ja', 'ko', 'zh_CN', 'th', 'ka', 'ta', 'vi', 'fr', 'bn', 'am', 'tr'];
const DOMAINS = ['iso_639-3', 'iso_3166-1', 'iso_15924', 'iso_4217'];

// What trips tokenizers.
const EDGES = [
    "Hello, World! It's 12345 things; we'll see.  Two  spaces", "don't DON'T I'LL 'S x'\u017f 'l 'LL", 'tab\there',
    '\u{1f600} emoji \u{1f469}\u200d\u{1f467}', 'e\u0301\u0323 \u1e9b\u0323 \ufdfa \ufb01 \u00c5 \u1100\u1161\u11a8',
    '\u0130stanbul', '   lead and trail   ', 'a\u00a0b\u3000c\u2028d', '[CLS] special [MASK] tokens <s> </s> <mask>',
    'x<mask> y  <mask>  z', '...!?!?  !!', 'x'.repeat(150), '1234567890 \u0663\u0664\u0665 \u2167 \u00b2 \u00bd',
    'snake_case \u203f zwnj\u200cword \u24d0b', '\n\na\n b\n\nc   d', '\r\n x \n', '#hash ##tag', '\u2581under \u2581\u2581x',
    '\u2018quote\u2019 \u00abx\u00bb', ' \n', ' ', '\u00ad\u200b soft', '$1+2=3 `~^|<>', 'a-b--c', '  --  ', 'ABC abc Abc',
    '\u05e9\u05c1\u05dc\u05d5\u05dd', '\u0915\u094d\u0937\u093f', 'na\u00efve caf\u00e9 Stra\u00dfe', '\t \u0007x\u0000y',
];

// The translations of a compiled catalogue of gettext.
function translations(file) {
    const b = fs.readFileSync(file), n = b.readUInt32LE(8), at = b.readUInt32LE(16), texts = [];
    for (let i = 1; i < n; i++)
        texts.push(b.toString('utf8', b.readUInt32LE(at + 8 * i + 4), b.readUInt32LE(at + 8 * i + 4) + b.readUInt32LE(at + 8 * i)));
    return texts.flatMap((text) => text.split('\0')).filter((text) => text && text.length < 200 && !text.includes('\n'));
}

function texts() {
    const all = [];
    for (const language of LANGUAGES)
        for (const domain of DOMAINS) {
            const file = `/usr/share/locale/${language}/LC_MESSAGES/${domain}.mo`;
            const some = fs.existsSync(file) ? translations(file) : [];
            for (let i = 0; i < some.length; i += Math.max(1, Math.floor(some.length / 50)))
                all.push(some[i]);
        }
    return {edges: EDGES, lines: all};
}

// Byte-pair encoding over words, each a list of symbols: [[left, right], ...] in the order of their learning.
function merges(words, n) {
    const counts = new Map();
    for (const word of words)
        counts.set(word.join('\0'), (counts.get(word.join('\0')) || 0) + 1);
    let list = [...counts].map(([word, count]) => ({symbols: word.split('\0'), count}));
    const learned = [];
    while (learned.length < n) {
        const pairs = new Map();
        for (const {symbols, count} of list)
            for (let i = 1; i < symbols.length; i++) {
                const pair = symbols[i - 1] + '\0' + symbols[i];
                pairs.set(pair, (pairs.get(pair) || 0) + count);
            }
        const best = [...pairs].reduce((a, b) => (b[1] > a[1] || (b[1] === a[1] && b[0] < a[0]) ? b : a), ['', 0]);
        if (best[1] < 2)
            break;
        const [left, right] = best[0].split('\0');
        learned.push([left, right]);
        for (const item of list) {
            const s = item.symbols;
            for (let i = 0; i + 1 < s.length; i++)
                if (s[i] === left && s[i + 1] === right)
                    s.splice(i, 2, left + right);
        }
    }
    return learned;
}

const ids = (tokens) => Object.fromEntries([...new Set(tokens)].map((token, i) => [token, i]));
const added = (vocab, tokens, more) => tokens.map((content) => ({
    id: vocab[content], content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true, ...more}));
const template = (vocab, before, behind) => ({
    type: 'TemplateProcessing',
    single: [...before.map((id) => ({SpecialToken: {id, type_id: 0}})), {Sequence: {id: 'A', type_id: 0}},
             ...behind.map((id) => ({SpecialToken: {id, type_id: 0}}))],
    pair: [{Sequence: {id: 'A', type_id: 0}}, {Sequence: {id: 'B', type_id: 1}}],
    special_tokens: Object.fromEntries([...before, ...behind].map((t) => [t, {id: t, ids: [vocab[t]], tokens: [t]}]))});
const file = (parts) => ({version: '1.0', truncation: null, padding: null, added_tokens: [], normalizer: null,
                          pre_tokenizer: null, post_processor: null, decoder: null, ...parts});

// Bytes as byte-level vocabularies write them.
const BYTES = (() => {
    const codes = [];
    for (let byte = 0, next = 256; byte < 256; byte++)
        codes.push(String.fromCodePoint((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174 ? byte : next++));
    return codes;
})();
const mapped = (text) => [...Buffer.from(text)].map((byte) => BYTES[byte]);

function wordpiece(lines, lowercase, strip_accents) {
    const clean = (line) => (lowercase ? line.normalize('NFD').replace(/\p{Mn}/gu, '').toLowerCase() : line);
    const words = lines.flatMap((line) => clean(line).split(/\s+/)).filter((w) => w).map((w) => [...w].map((c, i) => (i ? '##' + c : c)));
    const joined = merges(words.map((w) => [...w]), 600).map(([a, b]) => a + b.replace(/^##/, ''));
    const tokens = joined.map((t) => (t.startsWith('##') ? '##' + t.slice(2).replaceAll('##', '') : t.replaceAll('##', '')));
    const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];
    const vocab = ids([...specials, ...words.flat(), ...tokens, '.', ',', "'", '!']);
    return file({
        added_tokens: added(vocab, specials), normalizer: {type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents, lowercase},
        pre_tokenizer: {type: 'BertPreTokenizer'}, post_processor: template(vocab, ['[CLS]'], ['[SEP]']), decoder: {type: 'WordPiece', prefix: '##', cleanup: true},
        model: {type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab}});
}

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;
const LLAMA = (digits) => "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" + digits +
    '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

function byteLevel(learned, parts, specials, more, model) {
    const vocab = ids([...specials, ...BYTES, ...learned.map(([a, b]) => a + b)]);
    return file({added_tokens: added(vocab, specials, more), decoder: {type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true}, ...parts(vocab),
                 model: {type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false,
                         byte_fallback: false, vocab, merges: learned.map(([a, b]) => a + ' ' + b), ...model}});
}

// As Llama 2 does it: spaces are signs, and bytes stand in for what the vocabulary lacks.
function fallback(lines) {
    const words = lines.slice(0, 500).flatMap((line) => line.split(' ')).filter((w) => w).map((w) => ['\u2581', ...w]);
    const learned = merges(words.map((w) => [...w]), 300);
    const bytes = Array.from({length: 256}, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
    const vocab = ids(['<unk>', '<s>', '</s>', ...bytes, '\u2581', ...words.flat(), ...learned.map(([a, b]) => a + b)]);
    return file({
        added_tokens: added(vocab, ['<unk>', '<s>', '</s>']), post_processor: template(vocab, ['<s>'], []),
        normalizer: {type: 'Sequence', normalizers: [{type: 'Prepend', prepend: '\u2581'}, {type: 'Replace', pattern: {String: ' '}, content: '\u2581'}]},
        decoder: {type: 'Sequence', decoders: [{type: 'Replace', pattern: {String: '\u2581'}, content: ' '}, {type: 'ByteFallback'}, {type: 'Fuse'}, {type: 'Strip', content: ' ', start: 1, stop: 0}]},
        model: {type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: true, byte_fallback: true, ignore_merges: false, vocab, merges: learned}});
}

function suffixed(lines, fuse_unk) {
    const words = lines.slice(0, 500).flatMap((line) => line.toLowerCase().split(/\s+/)).filter((w) => w)
        .map((w) => [...w].map((c, i, all) => (i + 1 < all.length ? c : c + '</w>')));
    const learned = merges(words.map((w) => [...w]), 300);
    const vocab = ids(['<unk>', ...words.flat(), ...learned.map(([a, b]) => a + b)]);
    return file({normalizer: {type: 'Sequence', normalizers: [{type: 'NFC'}, {type: 'Lowercase'}]}, pre_tokenizer: {type: 'WhitespaceSplit'},
                 decoder: {type: 'BPEDecoder', suffix: '</w>'},
                 model: {type: 'BPE', dropout: null, unk_token: '<unk>', continuing_subword_prefix: '', end_of_word_suffix: '</w>', fuse_unk, byte_fallback: false, vocab, merges: learned}});
}

function unigram(lines, scheme, byte_fallback, normalizer) {
    const counts = new Map();
    for (const line of lines.slice(0, 800))
        for (const word of line.normalize('NFKC').split(' ').map((w) => [...('\u2581' + w)]))
            for (let i = 0; i < word.length; i++)
                for (let n = 1; n <= 6 && i + n <= word.length; n++)
                    counts.set(word.slice(i, i + n).join(''), (counts.get(word.slice(i, i + n).join('')) || 0) + 1);
    const kept = [...counts].filter(([token, n]) => n > 2 || [...token].length === 1).slice(0, 4000);
    const total = kept.reduce((sum, [, n]) => sum + n, 0);
    const bytes = byte_fallback ? Array.from({length: 256}, (_, i) => [`<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`, -20 - i / 256]) : [];
    const vocab = [['<pad>', 0], ['</s>', 0], ['<unk>', 0], ...bytes, ...kept.map(([token, n], i) => [token, Math.log(n / total) - i * 1e-7])];
    const index = Object.fromEntries(vocab.map(([token], i) => [token, i]));
    return file({added_tokens: added(index, ['<pad>', '</s>', '<unk>']), normalizer, pre_tokenizer: {type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme, split: scheme !== 'never'},
                 decoder: {type: 'Metaspace', replacement: '\u2581', prepend_scheme: scheme, split: true},
                 post_processor: template(index, [], ['</s>']), model: {type: 'Unigram', unk_id: 2, vocab, byte_fallback}});
}

function wordLevel(lines, pre_tokenizer, normalizer) {
    const words = lines.flatMap((line) => [line, line.toLowerCase(), line.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase()]).flatMap((line) => line.match(/[\p{L}\p{M}\p{N}_]+|[^\s\p{L}]/gu) || []);
    return file({normalizer, pre_tokenizer, model: {type: 'WordLevel', unk_token: '<unk>', vocab: ids(['<unk>', ...words, ...'0123456789-!.?#,'])}});
}

function made(lines) {
    const words = lines.flatMap((line) => line.match(GPT2) || []).map(mapped);
    const learned = merges(words.slice(0, 6000), 500);
    const level = (more) => ({type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true, ...more});
    const split = (digits) => ({type: 'Sequence', pretokenizers: [{type: 'Split', pattern: {Regex: LLAMA(digits)}, behavior: 'Isolated', invert: false}, level({use_regex: false})]});
    const behavior = (name, invert) => ({type: 'Sequence', pretokenizers: [{type: 'Split', pattern: {String: '-'}, behavior: name, invert}, {type: 'WhitespaceSplit'}]});
    const list = {
        'wordpiece': wordpiece(lines, true, null), 'wordpiece-cased': wordpiece(lines, false, null), 'wordpiece-accents': wordpiece(lines, true, false),
        'gpt2': byteLevel(learned, () => ({pre_tokenizer: level()}), ['<|endoftext|>'], {}),
        'roberta': byteLevel(learned, (vocab) => ({pre_tokenizer: level({add_prefix_space: true}), post_processor: {type: 'RobertaProcessing', sep: ['</s>', vocab['</s>']], cls: ['<s>', vocab['<s>']], trim_offsets: true, add_prefix_space: true}}), ['<s>', '</s>', '<mask>'], {lstrip: true}),
        'llama3': byteLevel(learned, (vocab) => ({pre_tokenizer: split('{1,3}'), post_processor: {type: 'Sequence', processors: [level(), template(vocab, ['<s>'], [])]}}), ['<s>'], {rstrip: true}, {ignore_merges: true}),
        'qwen2': byteLevel(learned, () => ({normalizer: {type: 'NFC'}, pre_tokenizer: split('')}), ['<s>'], {normalized: true, special: false}),
        'llama2': fallback(lines), 'clip': suffixed(lines, false), 'clip-fused': suffixed(lines, true),
        'unigram': unigram(lines, 'always', false, {type: 'NFKC'}), 'unigram-first': unigram(lines, 'first', true, {type: 'NFKD'}),
        'unigram-never': unigram(lines, 'never', false, {type: 'Sequence', normalizers: [{type: 'Strip', strip_left: true, strip_right: true}, {type: 'NFKC'}, {type: 'Replace', pattern: {String: ' '}, content: '\u2581'}]}),
        'words': wordLevel(lines, {type: 'Whitespace'}, {type: 'Sequence', normalizers: [{type: 'NFD'}, {type: 'Lowercase'}, {type: 'StripAccents'}]}),
        'digits': wordLevel(lines, {type: 'Sequence', pretokenizers: [{type: 'WhitespaceSplit'}, {type: 'Punctuation', behavior: 'Contiguous'}, {type: 'Digits', individual_digits: true}]}, null),
        'numbers': wordLevel(lines, {type: 'Sequence', pretokenizers: [{type: 'CharDelimiterSplit', delimiter: ' '}, {type: 'Digits', individual_digits: false}, {type: 'Punctuation', behavior: 'MergedWithNext'}]}, {type: 'Strip', strip_left: true, strip_right: false}),
    };
    for (const name of ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'])
        for (const invert of [false, true])
            list[`${name}-${invert}`] = wordLevel(lines, behavior(name, invert), null);
    return list;
}

module.exports = {texts, made};
