/* codec/factory: what is built, what is refused by name, what is not understood. */
#include <check.h>
#include <string.h>

#include "base/error.h"
#include "codec/factory.h"

static const struct {
    const char *text;
    const char *canonical;
    int32_t nlist;
    ivf_codec_spec codec;
    int opq_m;
    int opq_d;
} accepted[] = {
    {"IVF1024,PQ32", "IVF1024,PQ32", 1024, {IVF_CODEC_PQ, 32, 8}, 0, 0},
    {"IVF1024,PQ32x8", "IVF1024,PQ32", 1024, {IVF_CODEC_PQ, 32, 8}, 0, 0},
    {"IVF1024,PQ32np", "IVF1024,PQ32", 1024, {IVF_CODEC_PQ, 32, 8}, 0, 0},
    {"IVF1024,PQ16x4", "IVF1024,PQ16x4", 1024, {IVF_CODEC_PQ, 16, 4}, 0, 0},
    {"IVF1024,PQ16x5np", "IVF1024,PQ16x5", 1024, {IVF_CODEC_PQ, 16, 5}, 0, 0},
    {"IVF1024,PQ32x4fs", "IVF1024,PQ32x4fs", 1024, {IVF_CODEC_PQ_ROWS, 32, 4}, 0, 0},
    {"IVF1024,PQ32x4fsr", "IVF1024,PQ32x4", 1024, {IVF_CODEC_PQ, 32, 4}, 0, 0},
    {"IVF,SQ8", "IVF,SQ8", 0, {IVF_CODEC_SQ, 0, 8}, 0, 0},
    {"IVF1,SQ6", "IVF1,SQ6", 1, {IVF_CODEC_SQ, 0, 6}, 0, 0},
    {"IVF67108864,SQ4", "IVF67108864,SQ4", 1 << 26, {IVF_CODEC_SQ, 0, 4}, 0, 0},
    {"IVF64k,Flat", "IVF65536,Flat", 65536, {IVF_CODEC_FLAT, 0, 0}, 0, 0},
    {"IVF1M,SQfp16", "IVF1048576,SQfp16", 1 << 20, {IVF_CODEC_FLAT16, 0, 0}, 0, 0},
    {"OPQ32,IVF4096,PQ32", "OPQ32,IVF4096,PQ32", 4096, {IVF_CODEC_PQ, 32, 8}, 32, 0},
    {"OPQ32_64,IVF4096,PQ16x4np", "OPQ32_64,IVF4096,PQ16x4", 4096, {IVF_CODEC_PQ, 16, 4}, 32, 64},
    {"OPQ8,IVF,SQ8", "OPQ8,IVF,SQ8", 0, {IVF_CODEC_SQ, 0, 8}, 8, 0},
    {"OPQ65536_1048576,IVF64M,PQ65536x4",
     "OPQ65536_1048576,IVF67108864,PQ65536x4",
     1 << 26,
     {IVF_CODEC_PQ, 65536, 4},
     65536,
     1 << 20},
};

START_TEST(accepted_strings_round_trip)
{
    ivf_factory f;
    char text[64];
    ck_assert_int_eq(ivf_factory_parse(accepted[_i].text, &f), MPIVF_OK);
    ck_assert_int_eq(f.nlist, accepted[_i].nlist);
    ck_assert_int_eq(f.codec.kind, accepted[_i].codec.kind);
    ck_assert_int_eq(f.codec.m, accepted[_i].codec.m);
    ck_assert_int_eq(f.codec.bits, accepted[_i].codec.bits);
    ck_assert_int_eq(f.opq_m, accepted[_i].opq_m);
    ck_assert_int_eq(f.opq_d, accepted[_i].opq_d);
    ivf_factory_text(&f, text);
    ck_assert_str_eq(text, accepted[_i].canonical);
    ck_assert_int_eq(ivf_factory_parse(text, &f), MPIVF_OK);
    ivf_factory_text(&f, text);
    ck_assert_str_eq(text, accepted[_i].canonical);
}
END_TEST

/* The text, the part that must be named, the remedy. */
static const char *const refused[][3] = {
    {"OPQ32_128,IVF1024,PQ32x4fs_64", "PQ32x4fs_64 (", "use OPQ32_128,IVF1024,PQ32x4"},
    {"OPQ32,PQ32", "PQ32 (an encoding without lists)", "use OPQ32,IVF,PQ32"},
    {"OPQ0,IVF16,PQ8", "OPQ0: the number of sub-vectors must be 1 to", "use IVF16,PQ8"},
    {"OPQ65537,IVF16,PQ8", "the number of sub-vectors must be 1 to", "use IVF16,PQ8"},
    {"OPQ8_0,IVF16,PQ8", "OPQ8_0: the number of values of a rotated row must be 1 to", "use OPQ8,IVF16,PQ8"},
    {"OPQ8_9999999999999,IVF16,PQ8", "a rotated row must be 1 to 1048576", "use OPQ8,IVF16,PQ8"},
    {"OPQ8_60,IVF16,PQ8", "OPQ8_60: rotated rows of 60 values cannot be cut into 8", "use a multiple of 8"},
    {"PCA64,IVF1024,Flat", "PCA64 (a projection", "use IVF1024,Flat"},
    {"PCAR64,IVF1024,SQ8", "PCAR64 (", "use IVF1024,SQ8"},
    {"PCAW64,IVF1024,SQ8", "PCAW64 (", "use IVF1024,SQ8"},
    {"PCAWR64,IVF1024,SQ8", "PCAWR64 (", "use IVF1024,SQ8"},
    {"RR,IVF4,SQ8", "RR (a rotation", "use IVF4,SQ8"},
    {"RR64,IVF4,SQ8", "RR64 (", "use IVF4,SQ8"},
    {"ITQ64,LSH", "ITQ64 (", "use IVF,SQ8"},
    {"L2norm,IVF1024,Flat", "cosine metric", "use IVF1024,Flat"},
    {"Pad128,IVF1024,SQ4", "Pad128 (a padding", "use IVF1024,SQ4"},
    {"IDMap,IVF16,Flat", "IDMap (a map of ids", "use IVF16,Flat"},
    {"IVF16,Flat,IDMap2", "IDMap2 (a map of ids", "use IVF16,Flat"},
    {"MinMaxFP16,IVF16,SQ8", "MinMaxFP16 (", "use IVF16,SQ8"},
    {"IMI2x8,PQ32", "IMI2x8 (an inverted multi-index)", "use IVF,PQ32"},
    {"IVF65536_HNSW32,PQ32", "IVF65536_HNSW32 (a graph over the centroids)", "use IVF65536,PQ32"},
    {"IVF65536_NSG32,PQ32", "IVF65536_NSG32 (", "use IVF65536,PQ32"},
    {"IVF65536(IVF256,PQ4x4fs,RFlat),SQ8", "IVF65536(IVF256,PQ4x4fs,RFlat) (", "use IVF65536,SQ8"},
    {"Residual128,PQ8", "Residual128 (", "use IVF,PQ8"},
    {"Flat", "Flat (an encoding without lists)", "use IVF,Flat"},
    {"PQ32", "PQ32 (an encoding without lists)", "use IVF,PQ32"},
    {"SQ8", "SQ8 (an encoding without lists)", "use IVF,SQ8"},
    {"HNSW32", "HNSW32 (a graph without lists)", "use IVF,SQ8"},
    {"HNSW32,Flat", "HNSW32 (", "use IVF,Flat"},
    {"NSG16", "NSG16 (", "use IVF,SQ8"},
    {"LSH", "LSH (", "use IVF,SQ8"},
    {"IVF256,PQ32x8fs", "PQ32x8fs (fast-scan codes of", "use IVF256,PQ32"},
    {"IVF256,PQ32x4fsx", "PQ32x4fsx (", "use IVF256,PQ32x4"},
    {"IVF256,PQ32x4fs_64", "PQ32x4fs_64 (", "use IVF256,PQ32x4"},
    {"IVF256,PQ32x4fsr_64", "PQ32x4fsr_64 (", "use IVF256,PQ32x4"},
    {"IVF256,PQ16+32", "PQ16+32 (", "use IVF256,PQ16"},
    {"IVF256,SQbf16", "SQbf16 (", "use IVF256,SQ8"},
    {"IVF256,SQ8_direct", "SQ8_direct (", "use IVF256,SQ8"},
    {"IVF256,SQ8_direct_signed", "SQ8_direct_signed (", "use IVF256,SQ8"},
    {"IVF256,RQ4x8_Nqint8", "RQ4x8_Nqint8 (an additive quantizer)", "use IVF256,SQ8"},
    {"IVF256,LSQ4x8", "LSQ4x8 (", "use IVF256,SQ8"},
    {"IVF256,PRQ2x4x8", "PRQ2x4x8 (", "use IVF256,SQ8"},
    {"IVF256,PLSQ2x4x4fs", "PLSQ2x4x4fs (", "use IVF256,SQ8"},
    {"IVF256,ZnLattice3x10_6", "ZnLattice3x10_6 (", "use IVF256,SQ8"},
    {"IVF256,RaBitQ", "RaBitQ (a binary quantizer)", "use IVF256,SQ8"},
    {"IVF256,RaBitQfs_64", "RaBitQfs_64 (", "use IVF256,SQ8"},
    {"IVF256,FlatDedup", "FlatDedup (", "use IVF256,SQ8"},
    {"IVF256,ITQ64,SH1.2", "ITQ64 (", "use IVF256,SQ8"},
    {"IVF1024,PQ32,RFlat", "RFlat (", "use IVF1024,PQ32"},
    {"IVF1024,PQ32,Refine(SQ8)", "Refine(SQ8) (", "use IVF1024,PQ32"},
    {"BIVF1024", "BIVF1024 (an index of binary vectors)", "use IVF,SQ8"},
    {"IVF0,PQ32", "IVF0: the number of lists must be 1 to 67108864", "use IVF,PQ32"},
    {"IVF67108865,PQ32", "must be 1 to 67108864", "use IVF,PQ32"},
    {"IVF99999999999999999999999999,SQ8", "must be 1 to 67108864", "use IVF,SQ8"},
    {"IVF9999999999999999999M,SQ8", "must be 1 to 67108864", "use IVF,SQ8"},
    {"IVF16,PQ32x12", "PQ32x12: the bits of a sub-vector must be 4 to 8", "use IVF16,PQ32"},
    {"IVF16,PQ32x3", "must be 4 to 8", "use IVF16,PQ32x4"},
    {"IVF16,PQ0", "PQ0: the number of sub-vectors must be 1 to", "use IVF16,SQ8"},
    {"IVF16,PQ4294967328", "the number of sub-vectors must be 1 to", "use IVF16,SQ8"},
};

START_TEST(foreign_parts_are_refused_by_name)
{
    ivf_factory f = {.nlist = -7};
    ck_assert_int_eq(ivf_factory_parse(refused[_i][0], &f), MPIVF_USAGE);
    ck_assert_int_eq(f.nlist, -7);
    ck_assert_msg(strstr(ivf_error_last()->text, refused[_i][1]) != NULL, "%s: %s", refused[_i][0],
                  ivf_error_last()->text);
    ck_assert_msg(strstr(ivf_error_last()->text, refused[_i][2]) != NULL, "%s: %s", refused[_i][0],
                  ivf_error_last()->text);
}
END_TEST

/* What is no factory string at all, and where the message must point. */
static const char *const nonsense[][2] = {
    {"", "expected IVF with the number of lists, such as IVF1024, at position 1, found nothing"},
    {"ivf1024,PQ32", "expected IVF with the number of lists, such as IVF1024, at position 1, found 'ivf1024'"},
    {"IVFx,PQ32", "at position 1, found 'IVFx'"},
    {" IVF16,PQ32", "at position 1, found ' IVF16'"},
    {"IVF16", "at position 6, found nothing"},
    {"IVF16,", "at position 7, found nothing"},
    {"IVF16,PQ", "at position 7, found 'PQ'"},
    {"IVF16,PQ8x", "at position 7, found 'PQ8x'"},
    {"IVF16,SQ7", "at position 7, found 'SQ7'"},
    {"OPQ8", "at position 5, found nothing"},
    {"OPQ8,", "at position 6, found nothing"},
    {"OPQ,IVF16,PQ8", "at position 1, found 'OPQ'"},
    {"OPQ8_,IVF16,PQ8", "at position 1, found 'OPQ8_'"},
    {"opq8,IVF16,PQ8", "at position 1, found 'opq8'"},
    {"IVF16,OPQ8,PQ8", "at position 7, found 'OPQ8'"},
    {"OPQ8,OPQ8,IVF16,PQ8", "at position 6, found 'OPQ8'"},
    {"IVF16,SQ8 ", "at position 7, found 'SQ8 '"},
    {"IVF16,Flat,", "expected the end at position 12"},
    {"IVF16,Flat,x", "expected the end at position 12, found 'x'"},
    {"IVF16(,Flat", "at position 1"},
};

START_TEST(other_text_is_told_where_it_goes_wrong)
{
    ivf_factory f;
    ck_assert_int_eq(ivf_factory_parse(nonsense[_i][0], &f), MPIVF_USAGE);
    ck_assert_msg(strstr(ivf_error_last()->text, nonsense[_i][1]) != NULL, "%s: %s", nonsense[_i][0],
                  ivf_error_last()->text);
}
END_TEST

START_TEST(long_text_is_cut_in_messages)
{
    char text[5000];
    ivf_factory f;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    ck_assert_int_eq(ivf_factory_parse(text, &f), MPIVF_USAGE);
    ck_assert_uint_lt(strlen(ivf_error_last()->text), 300);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

int main(void)
{
    Suite *suite = suite_create("factory");
    TCase *tests = tcase_create("factory");
    tcase_add_loop_test(tests, accepted_strings_round_trip, 0, COUNT(accepted));
    tcase_add_loop_test(tests, foreign_parts_are_refused_by_name, 0, COUNT(refused));
    tcase_add_loop_test(tests, other_text_is_told_where_it_goes_wrong, 0, COUNT(nonsense));
    tcase_add_test(tests, long_text_is_cut_in_messages);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
