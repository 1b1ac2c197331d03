/* comm/exchange: every byte reaches the rank that it was for. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/rng.h"
#include "comm/exchange.h"
#include "mpi_suite.h"

/* What `from` sends to `to` in a round: sizes of all kinds, also none. */
static int64_t amount(uint64_t round, int from, int to)
{
    uint64_t draw = ivf_rng_bits(round, IVF_RNG_TEST, (uint64_t)from << 32 | (uint64_t)to);
    return draw % 4 == 0 ? 0 : (int64_t)(draw >> 8) & ((1 << (round % 17)) - 1);
}

static uint8_t byte_of(int from, int to, int64_t i)
{
    return (uint8_t)(i * 7 + i / 256 + from * 31 + to * 101);
}

/* Sends what `amounts` says, and whether all came. */
static bool exchange_right(const int64_t *sent, const int64_t *expected)
{
    const int size = ivf_ctx_size(test_ctx);
    const int me = ivf_ctx_rank(test_ctx);
    int64_t *offsets = ivf_new_zero((size_t)size + 1, sizeof *offsets);
    for (int r = 0; r < size; r++)
        offsets[r + 1] = offsets[r] + sent[r];
    uint8_t *data = ivf_new((size_t)offsets[size], 1);
    for (int to = 0; to < size; to++)
        for (int64_t i = 0; i < sent[to]; i++)
            data[offsets[to] + i] = byte_of(me, to, i);
    ivf_gathered in;
    bool right = ivf_exchange(test_ctx, data, offsets, &in) == MPIVF_OK;
    for (int from = 0; right && from < size; from++) {
        right = in.offsets[from + 1] - in.offsets[from] == expected[from];
        for (int64_t i = 0; right && i < expected[from]; i++)
            right = in.data[in.offsets[from] + i] == byte_of(from, me, i);
    }
    ivf_gathered_free(&in);
    ivf_free(data);
    ivf_free(offsets);
    return right;
}

START_TEST(all_amounts_arrive)
{
    const int size = ivf_ctx_size(test_ctx);
    const int me = ivf_ctx_rank(test_ctx);
    int64_t sent[16];
    int64_t expected[16];
    for (uint64_t round = 0; round < 60; round++) {
        for (int r = 0; r < size; r++) {
            sent[r] = amount(round, me, r);
            expected[r] = amount(round, r, me);
        }
        test_all(exchange_right(sent, expected));
    }
}
END_TEST

/* One pair's bytes travel in two pieces, the way back is empty, and the others have little. */
START_TEST(large_amounts_cross_pieces)
{
    const int size = ivf_ctx_size(test_ctx);
    const int me = ivf_ctx_rank(test_ctx);
    const int64_t large = ((int64_t)64 << 20) + 3;
    int64_t sent[16] = {0};
    int64_t expected[16] = {0};
    for (int r = 0; r < size; r++) {
        sent[r] = me == 0 && r == size - 1 ? large : me > r;
        expected[r] = r == 0 && me == size - 1 ? large : r > me;
    }
    test_all(exchange_right(sent, expected));
}
END_TEST

/* Every rank promises the last one all that 63 bits can count. */
START_TEST(what_cannot_be_held_fails_everywhere)
{
    const int size = ivf_ctx_size(test_ctx);
    int64_t offsets[17] = {0};
    uint8_t none = 0;
    ivf_gathered in;
    if (size == 1)
        return;
    offsets[size] = INT64_MAX;
    test_all(ivf_exchange(test_ctx, &none, offsets, &in) == MPIVF_FAILED);
    test_all(strstr(ivf_error_last()->text, "more than 2^63 bytes") != NULL);
    test_all(in.data == NULL && in.offsets == NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange");
    TCase *tests = tcase_create("exchange");
    tcase_add_test(tests, all_amounts_arrive);
    tcase_add_test(tests, large_amounts_cross_pieces);
    tcase_add_test(tests, what_cannot_be_held_fails_everywhere);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
