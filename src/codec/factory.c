/* The factory string, for the command line and the manifest. A string is cut at the commas outside parentheses; a
 * rotation may come first, then the lists, then the encoding, and nothing may follow. Whatever else FAISS's grammar
 * knows is in one table, so that it is refused by name rather than as a spelling mistake. Source of the grammar: FAISS
 * wiki, "The index factory", and faiss/index_factory.cpp. */
#include "codec/factory.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"

enum {
    NLIST_MAX = 1 << 26,
    PQ_M_MAX = 1 << 16,
    PQ_BITS_MIN = 4,
    PQ_BITS_MAX = 8,
    ROTATED_MAX = 1 << 20,
    QUOTED = 60, /* characters of the user's text that a message repeats */
};

typedef struct {
    const char *text; /* inside the whole string */
    size_t length;
} part;

/* Parts of FAISS's grammar that are not built. '#' stands for digits, '*' for anything. */
static const struct {
    const char *pattern;
    const char *what;
} foreign[] = {
    {"RR", "a rotation before the index"},
    {"RR#", "a rotation before the index"},
    {"ITQ", "a rotation before the index"},
    {"ITQ#", "a rotation before the index"},
    {"PCA#", "a projection before the index"},
    {"PCAR#", "a projection before the index"},
    {"PCAW#", "a projection before the index"},
    {"PCAWR#", "a projection before the index"},
    {"L2norm", "a normalisation before the index, which here is the cosine metric"},
    {"L2Norm", "a normalisation before the index, which here is the cosine metric"},
    {"Pad#", "a padding before the index"},
    {"MinMax", "a scaling of each row before the index"},
    {"MinMaxFP16", "a scaling of each row before the index"},
    {"IDMap", "a map of ids around the index, which here every index has"},
    {"IDMap2", "a map of ids around the index, which here every index has"},
    {"IMI2x#", "an inverted multi-index"},
    {"IVF*_HNSW*", "a graph over the centroids"},
    {"IVF*_NSG*", "a graph over the centroids"},
    {"IVF*(*)", "an index over the centroids"},
    {"Residual#", "a two-layer index"},
    {"Residual#x#", "a two-layer index"},
    {"HNSW*", "a graph without lists"},
    {"NSG*", "a graph without lists"},
    {"LSH*", "hashing without lists"},
    {"SH*", "spectral hashing"},
    {"FlatDedup", "full vectors without duplicates"},
    {"FlatPanorama*", "full vectors in levels"},
    {"SQbf16", "bfloat16 values"},
    {"SQ8_direct", "bytes taken as they are"},
    {"SQ8_direct_signed", "bytes taken as they are"},
    {"PQ#x#fs*", "fast-scan codes of other than 4 bits, or in blocks of a size of their own"},
    {"PQ#+#", "a product quantizer with a second one to refine it"},
    {"RQ#*", "an additive quantizer"},
    {"LSQ#*", "an additive quantizer"},
    {"PRQ#*", "an additive quantizer"},
    {"PLSQ#*", "an additive quantizer"},
    {"RCQ#*", "an additive quantizer"},
    {"LSCQ#*", "an additive quantizer"},
    {"ZnLattice*", "a lattice quantizer"},
    {"RaBitQ*", "a binary quantizer"},
    {"RFlat", "a second index to refine the results"},
    {"Refine(*)", "a second index to refine the results"},
    {"BIVF*", "an index of binary vectors"},
    {"BFlat", "an index of binary vectors"},
    {"BHNSW*", "an index of binary vectors"},
    {"BHash*", "an index of binary vectors"},
};

static const struct {
    const char *name;
    ivf_codec_spec spec;
} plain_encodings[] = {
    {"Flat", {IVF_CODEC_FLAT, 0, 0}}, {"SQfp16", {IVF_CODEC_FLAT16, 0, 0}}, {"SQ8", {IVF_CODEC_SQ, 0, 8}},
    {"SQ6", {IVF_CODEC_SQ, 0, 6}},    {"SQ4", {IVF_CODEC_SQ, 0, 4}},
};

static size_t count_digits(const char *text, size_t length)
{
    size_t digits = 0;
    while (digits < length && isdigit((unsigned char)text[digits]))
        digits++;
    return digits;
}

static bool matches(const char *pattern, const char *text, size_t length)
{
    if (*pattern == '\0')
        return length == 0;
    if (*pattern == '#') {
        size_t digits = count_digits(text, length);
        return digits > 0 && matches(pattern + 1, text + digits, length - digits);
    }
    if (*pattern == '*') {
        for (size_t taken = 0; taken <= length; taken++)
            if (matches(pattern + 1, text + taken, length - taken))
                return true;
        return false;
    }
    return length > 0 && *text == *pattern && matches(pattern + 1, text + 1, length - 1);
}

static const char *foreign_meaning(part p)
{
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (matches(foreign[i].pattern, p.text, p.length))
            return foreign[i].what;
    return NULL;
}

/* Takes a word off the front of p. */
static bool skip_word(part *p, const char *word)
{
    size_t length = strlen(word);
    if (p->length < length || memcmp(p->text, word, length) != 0)
        return false;
    p->text += length;
    p->length -= length;
    return true;
}

/* Takes digits off the front of p; a number too large for 18 digits stays larger than every limit. */
static bool skip_number(part *p, int64_t *number)
{
    size_t digits = count_digits(p->text, p->length);
    *number = 0;
    for (size_t i = 0; i < digits; i++)
        *number = ivf_min_i64(*number, INT64_MAX / 16) * 10 + (p->text[i] - '0');
    p->text += digits;
    p->length -= digits;
    return digits > 0;
}

/* "IVF", "IVF1024", "IVF64k", "IVF1M": the lists, or -1 when p does not begin like that. Takes them off the front. */
static int64_t skip_lists(part *p)
{
    int64_t nlist = 0;
    if (!skip_word(p, "IVF"))
        return -1;
    if (!skip_number(p, &nlist))
        return 0;
    if (skip_word(p, "k"))
        nlist = ivf_min_i64(nlist, NLIST_MAX + 1) * 1024;
    else if (skip_word(p, "M"))
        nlist = ivf_min_i64(nlist, NLIST_MAX + 1) * 1024 * 1024;
    return nlist == 0 ? NLIST_MAX + (int64_t)1 : nlist;
}

/* "PQ32", "PQ16x4", each with "np" (which asks FAISS for the plain training that is the only one here). */
static bool skip_pq(part *p, int64_t *m, int64_t *bits)
{
    *bits = PQ_BITS_MAX;
    if (!skip_word(p, "PQ") || !skip_number(p, m))
        return false;
    if (skip_word(p, "x") && !skip_number(p, bits))
        return false;
    (void)skip_word(p, "np");
    return true;
}

/* "fs", "fsr" after PQ of 4 bits, which FAISS scans in blocks; here all is. Without "r" rows are coded, not residuals.
 */
static bool skip_fast_scan(part *p, int64_t bits, bool *rows)
{
    enum { FAST_BITS = 4 };
    if (p->length == 0 || bits != FAST_BITS)
        return p->length == 0;
    *rows = !skip_word(p, "fsr");
    return !*rows || skip_word(p, "fs");
}

/* "OPQ32", "OPQ32_64": the whole part. */
static bool read_rotation(part p, int64_t *m, int64_t *d)
{
    *d = 0;
    if (!skip_word(&p, "OPQ") || !skip_number(&p, m))
        return false;
    if (skip_word(&p, "_") && !skip_number(&p, d))
        return false;
    return p.length == 0;
}

static bool read_plain(part p, ivf_codec_spec *spec)
{
    for (size_t i = 0; i < sizeof plain_encodings / sizeof plain_encodings[0]; i++) {
        if (p.length == strlen(plain_encodings[i].name) && memcmp(p.text, plain_encodings[i].name, p.length) == 0) {
            *spec = plain_encodings[i].spec;
            return true;
        }
    }
    return false;
}

/* The text cut at commas outside parentheses: moves *p to the next part, false after the last. */
static bool next_part(const char *text, part *p)
{
    const char *start = p->text == NULL ? text : p->text + p->length;
    if (p->text != NULL) {
        if (*start == '\0')
            return false;
        start++;
    }
    int depth = 0;
    size_t length = 0;
    for (; start[length] != '\0' && (start[length] != ',' || depth > 0); length++)
        depth += (start[length] == '(') - (start[length] == ')');
    *p = (part){start, length};
    return true;
}

/* What would do instead of a string that is refused: the lists and the encoding it names, as far as they are built. */
static void suggest(const char *text, char suggestion[64])
{
    ivf_factory built = {.codec = {IVF_CODEC_SQ, 0, 8}};
    for (part p = {0}; next_part(text, &p);) {
        part rest = p;
        int64_t nlist = skip_lists(&rest);
        if (nlist > 0 && nlist <= NLIST_MAX)
            built.nlist = ivf_to_i32(nlist);
        int64_t m = 0;
        int64_t bits = 0;
        int64_t d = 0;
        if (read_rotation(p, &m, &d) && m > 0 && m <= PQ_M_MAX) {
            built.opq_m = ivf_to_int(m);
            built.opq_d = d <= ROTATED_MAX && d % m == 0 ? ivf_to_int(d) : 0;
        }
        rest = p;
        if (!read_plain(p, &built.codec) && skip_pq(&rest, &m, &bits) && m > 0 && m <= PQ_M_MAX)
            built.codec = (ivf_codec_spec){IVF_CODEC_PQ, ivf_to_int(m),
                                           ivf_to_int(ivf_max_i64(PQ_BITS_MIN, ivf_min_i64(bits, PQ_BITS_MAX)))};
    }
    ivf_factory_text(&built, suggestion);
}

static int quoted_length(part p)
{
    return p.length < QUOTED ? (int)p.length : (int)QUOTED;
}

static int refuse_foreign(const char *text, part p, const char *what)
{
    char suggestion[64];
    suggest(text, suggestion);
    return ivf_fail(MPIVF_USAGE, "%.*s (%s) is FAISS grammar that mpivf does not build; use %s", quoted_length(p),
                    p.text, what, suggestion);
}

static int refuse_range(const char *text, part p, const char *what, int64_t low, int64_t high)
{
    char suggestion[64];
    suggest(text, suggestion);
    return ivf_fail(MPIVF_USAGE, "index '%.*s': %.*s: %s must be %lld to %lld; use %s", QUOTED, text, quoted_length(p),
                    p.text, what, (long long)low, (long long)high, suggestion);
}

static int refuse_unknown(const char *text, part p, const char *expected)
{
    const char *what = foreign_meaning(p);
    if (what != NULL)
        return refuse_foreign(text, p, what);
    size_t position = (size_t)(p.text - text) + 1;
    if (p.length == 0)
        return ivf_fail(MPIVF_USAGE, "index '%.*s': expected %s at position %zu, found nothing", QUOTED, text, expected,
                        position);
    return ivf_fail(MPIVF_USAGE, "index '%.*s': expected %s at position %zu, found '%.*s' (capitals count)", QUOTED,
                    text, expected, position, quoted_length(p), p.text);
}

/* Takes *p, if it is a rotation, to the next part. */
static int parse_rotation(const char *text, part *p, ivf_factory *parsed)
{
    int64_t m = 0;
    int64_t d = 0;
    if (!read_rotation(*p, &m, &d))
        return MPIVF_OK;
    if (m < 1 || m > PQ_M_MAX)
        return refuse_range(text, *p, "the number of sub-vectors", 1, PQ_M_MAX);
    const bool named = memchr(p->text, '_', p->length) != NULL;
    if (named && (d < 1 || d > ROTATED_MAX))
        return refuse_range(text, *p, "the number of values of a rotated row", 1, ROTATED_MAX);
    if (d % m != 0)
        return ivf_fail(MPIVF_USAGE,
                        "index '%.*s': %.*s: rotated rows of %lld values cannot be cut into %lld equal parts; use a "
                        "multiple of %lld",
                        QUOTED, text, quoted_length(*p), p->text, (long long)d, (long long)m, (long long)m);
    parsed->opq_m = ivf_to_int(m);
    parsed->opq_d = ivf_to_int(d);
    if (!next_part(text, p))
        *p = (part){p->text + p->length, 0};
    return MPIVF_OK;
}

static int parse_lists(const char *text, part p, int32_t *nlist)
{
    part rest = p;
    int64_t lists = skip_lists(&rest);
    int64_t m = 0;
    int64_t bits = 0;
    ivf_codec_spec spec;
    if (lists >= 0 && rest.length == 0) {
        if (lists > NLIST_MAX)
            return refuse_range(text, p, "the number of lists", 1, NLIST_MAX);
        *nlist = ivf_to_i32(lists);
        return MPIVF_OK;
    }
    rest = p;
    if (read_plain(p, &spec) || (skip_pq(&rest, &m, &bits) && rest.length == 0))
        return refuse_foreign(text, p, "an encoding without lists");
    return refuse_unknown(text, p, "IVF with the number of lists, such as IVF1024,");
}

static int parse_encoding(const char *text, part p, ivf_codec_spec *spec)
{
    part rest = p;
    int64_t m = 0;
    int64_t bits = 0;
    if (read_plain(p, spec))
        return MPIVF_OK;
    bool rows = false;
    if (!skip_pq(&rest, &m, &bits) || !skip_fast_scan(&rest, bits, &rows) || rest.length != 0)
        return refuse_unknown(text, p, "Flat, SQfp16, SQ8, SQ6, SQ4 or a product quantizer such as PQ32 or PQ32x4");
    if (m < 1 || m > PQ_M_MAX)
        return refuse_range(text, p, "the number of sub-vectors", 1, PQ_M_MAX);
    if (bits < PQ_BITS_MIN || bits > PQ_BITS_MAX)
        return refuse_range(text, p, "the bits of a sub-vector", PQ_BITS_MIN, PQ_BITS_MAX);
    *spec = (ivf_codec_spec){rows ? IVF_CODEC_PQ_ROWS : IVF_CODEC_PQ, ivf_to_int(m), ivf_to_int(bits)};
    return MPIVF_OK;
}

int ivf_factory_parse(const char *text, ivf_factory *factory)
{
    ivf_factory parsed = {0};
    part p = {0};
    (void)next_part(text, &p);
    int rc = parse_rotation(text, &p, &parsed);
    if (rc == MPIVF_OK)
        rc = parse_lists(text, p, &parsed.nlist);
    if (rc != MPIVF_OK)
        return rc;
    if (!next_part(text, &p))
        p = (part){p.text + p.length, 0};
    rc = parse_encoding(text, p, &parsed.codec);
    if (rc != MPIVF_OK)
        return rc;
    if (next_part(text, &p))
        return refuse_unknown(text, p, "the end");
    *factory = parsed;
    return MPIVF_OK;
}

void ivf_factory_text(const ivf_factory *factory, char text[64])
{
    char codec[32];
    char rotation[32] = "";
    char lists[16] = "";
    ivf_codec_name(&factory->codec, codec);
    if (factory->opq_d > 0)
        (void)snprintf(rotation, sizeof rotation, "OPQ%d_%d,", factory->opq_m, factory->opq_d);
    else if (factory->opq_m > 0)
        (void)snprintf(rotation, sizeof rotation, "OPQ%d,", factory->opq_m);
    if (factory->nlist > 0)
        (void)snprintf(lists, sizeof lists, "%d", factory->nlist);
    (void)snprintf(text, 64, "%.24sIVF%s,%.20s", rotation, lists, codec);
}
