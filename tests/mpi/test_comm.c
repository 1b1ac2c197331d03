/* comm/: agreement, transfers, tickets, progress. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "comm/account.h"
#include "comm/mesh.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "mpi_suite.h"

START_TEST(agreement_takes_the_lowest_failed_rank)
{
    int last = ivf_ctx_size(test_ctx) - 1;
    test_all(ivf_agree(test_ctx, MPIVF_OK) == MPIVF_OK);
    for (int failing = 0; failing <= last; failing++) {
        int mine = MPIVF_OK;
        if (ivf_ctx_rank(test_ctx) >= failing)
            mine = ivf_fail(MPIVF_BAD_INPUT, "rank %d says no", ivf_ctx_rank(test_ctx));
        int agreed = ivf_agree(test_ctx, mine);
        char expected[64];
        (void)snprintf(expected, sizeof expected, "rank %d says no", failing);
        test_all(agreed == MPIVF_BAD_INPUT);
        test_all(strncmp(ivf_error_last()->text, expected, strlen(expected)) == 0);
    }
}
END_TEST

enum { STRIDE = 1021 }; /* prime: over two pieces it meets every alignment */

START_TEST(broadcast_crosses_piece_borders)
{
    size_t bytes = ((size_t)64 << 20) * 2 + 3;
    uint8_t *data = ivf_new_zero(bytes, 1);
    bool root = ivf_ctx_is_root(test_ctx);
    for (size_t i = 0; root && i < bytes; i += STRIDE)
        data[i] = (uint8_t)(i * 31 + i / 251);
    ivf_bcast(test_ctx, data, bytes);
    bool same = true;
    for (size_t i = 0; i < bytes; i += STRIDE)
        same = same && data[i] == (uint8_t)(i * 31 + i / 251);
    ivf_free(data);
    test_all(same);
}
END_TEST

START_TEST(sums_are_over_all_ranks)
{
    int64_t values[2] = {ivf_ctx_rank(test_ctx) + 1, -1};
    int64_t n = ivf_ctx_size(test_ctx);
    ivf_allsum_i64(test_ctx, values, 2);
    test_all(values[0] == n * (n + 1) / 2 && values[1] == -n);
    values[0] = -ivf_ctx_rank(test_ctx);
    ivf_allmax_i64(test_ctx, values, 1);
    test_all(values[0] == 0);
}
END_TEST

START_TEST(gather_keeps_order_and_lengths)
{
    int rank = ivf_ctx_rank(test_ctx);
    uint8_t mine[64];
    memset(mine, 'a' + rank, sizeof mine);
    ivf_gathered all;
    test_all(ivf_gather_bytes(test_ctx, mine, (size_t)rank * 3, &all) == MPIVF_OK);
    bool right = true;
    for (int r = 0; ivf_ctx_is_root(test_ctx) && r < ivf_ctx_size(test_ctx); r++) {
        right = right && all.offsets[r + 1] - all.offsets[r] == 3 * r;
        for (int64_t i = all.offsets[r]; i < all.offsets[r + 1]; i++)
            right = right && all.data[i] == 'a' + r;
    }
    ivf_gathered_free(&all);
    test_all(right);
}
END_TEST

static void merge_sums(void *arg, void *into, const void *from, int64_t count)
{
    ++*(int *)arg;
    for (int64_t i = 0; i < count; i++)
        ((int64_t *)into)[i] += ((const int64_t *)from)[i];
}

START_TEST(tree_merges_every_rank_once)
{
    int64_t values[3] = {1, ivf_ctx_rank(test_ctx), 1 << ivf_ctx_rank(test_ctx)};
    int64_t n = ivf_ctx_size(test_ctx);
    int merges = 0;
    int rounds = 0;
    while (1 << rounds < n)
        rounds++;
    test_all(ivf_merge_to_root(test_ctx, values, 3, sizeof values[0], merge_sums, &merges) == MPIVF_OK);
    test_all(!ivf_ctx_is_root(test_ctx) || (values[0] == n && values[1] == n * (n - 1) / 2 &&
                                            values[2] == ((int64_t)1 << n) - 1 && merges == rounds));
}
END_TEST

/* Rank r's part begins at its square's share of the total, so that the parts differ and the first may be empty. */
static bool allgather_works(int64_t total)
{
    int n = ivf_ctx_size(test_ctx);
    int64_t *offsets = ivf_new((size_t)n + 1, sizeof *offsets);
    uint8_t *data = ivf_new_zero((size_t)total, 1);
    for (int r = 0; r <= n; r++)
        offsets[r] = total * r * r / n / n;
    if (n > 2)
        offsets[1] = 0;
    int rank = ivf_ctx_rank(test_ctx);
    for (int64_t i = offsets[rank]; i < offsets[rank + 1]; i++)
        data[i] = (uint8_t)(i * 13 + i / 241);
    bool right = ivf_allgather_bytes(test_ctx, data, offsets) == MPIVF_OK;
    for (int64_t i = 0; i < total; i++)
        right = right && data[i] == (uint8_t)(i * 13 + i / 241);
    ivf_free(data);
    ivf_free(offsets);
    return right;
}

START_TEST(allgather_crosses_piece_borders)
{
    test_all(allgather_works(0));
    test_all(allgather_works(7));
    test_all(allgather_works(((int64_t)64 << 20) + 12345));
}
END_TEST

START_TEST(parts_reach_the_first_rank)
{
    const int n = ivf_ctx_size(test_ctx);
    const int rank = ivf_ctx_rank(test_ctx);
    int64_t *offsets = ivf_new((size_t)n + 1, sizeof *offsets);
    for (int r = 0; r <= n; r++)
        offsets[r] = 100 * r * r / n;
    uint8_t *all = ivf_new_zero((size_t)offsets[n], 1);
    for (int64_t i = offsets[rank]; i < offsets[rank + 1]; i++)
        all[i] = (uint8_t)(i * 13 + 1);
    ivf_gather_parts(test_ctx, all + offsets[rank], all, offsets);
    bool right = true;
    for (int64_t i = 0; rank == 0 && i < offsets[n]; i++)
        right = right && all[i] == (uint8_t)(i * 13 + 1);
    ivf_free(all);
    ivf_free(offsets);
    test_all(right);
}
END_TEST

/* Collective. Sums over rows and over columns say who is in them. */
static void check_mesh(ivf_mesh_shape shape, int most, int parts)
{
    const int n = ivf_ctx_size(test_ctx);
    const int rank = ivf_ctx_rank(test_ctx);
    ivf_mesh mesh;
    test_all(ivf_mesh_open(test_ctx, shape, most, &mesh) == MPIVF_OK);
    test_all(mesh.parts == parts && mesh.part == rank % parts && n % parts == 0);
    test_all(ivf_ctx_rank(mesh.row) == mesh.part && ivf_ctx_size(mesh.row) == parts);
    test_all((mesh.column == NULL) == (shape == IVF_MESH_COLUMN || n == 1));
    int64_t sum = rank;
    ivf_allsum_i64(mesh.row, &sum, 1);
    const int64_t leader = rank - mesh.part;
    test_all(sum == leader * parts + (int64_t)parts * (parts - 1) / 2);
    if (mesh.column != NULL) {
        const int64_t rows = n / parts;
        sum = rank;
        ivf_allsum_i64(mesh.column, &sum, 1);
        test_all(ivf_ctx_size(mesh.column) == rows && ivf_ctx_rank(mesh.column) == leader / parts);
        test_all(sum == rows * mesh.part + parts * rows * (rows - 1) / 2);
    }
    ivf_mesh_close(&mesh);
    ivf_mesh_close(&mesh);
}

START_TEST(ranks_of_a_node_stand_in_rows)
{
    const int n = ivf_ctx_size(test_ctx);
    for (int most = 1; most <= n + 1; most++) {
        int parts = most < n ? most : n;
        while (n % parts != 0)
            parts--;
        check_mesh(IVF_MESH_GRID, most, parts);
    }
    check_mesh(IVF_MESH_COLUMN, n, 1);
    check_mesh(IVF_MESH_NODES, 1, n);
}
END_TEST

/* A failure inside a row is told with the number that the rank has among all. */
START_TEST(a_row_names_ranks_as_all_do)
{
    const int last = ivf_ctx_size(test_ctx) - 1;
    char expected[32];
    ivf_mesh mesh;
    test_all(ivf_mesh_open(test_ctx, IVF_MESH_GRID, 2, &mesh) == MPIVF_OK);
    int rc = ivf_ctx_rank(test_ctx) == last ? ivf_fail(MPIVF_FAILED, "told") : MPIVF_OK;
    rc = ivf_agree(test_ctx, ivf_agree(mesh.row, rc));
    (void)snprintf(expected, sizeof expected, "told (rank %d on ", last);
    test_all(rc == MPIVF_FAILED && (last == 0 || strncmp(ivf_error_last()->text, expected, strlen(expected)) == 0));
    ivf_mesh_close(&mesh);
}
END_TEST

enum { TICKETS = 1000 };

START_TEST(each_ticket_is_drawn_once)
{
    int64_t drawn[TICKETS] = {0};
    ivf_tickets *tickets = ivf_tickets_open(test_ctx, TICKETS);
    test_all(tickets != NULL);
    for (int64_t t = ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets))
        drawn[t]++;
    ivf_tickets_close(test_ctx, tickets);
    ivf_allsum_i64(test_ctx, drawn, TICKETS);
    bool once = true;
    for (int t = 0; t < TICKETS; t++)
        once = once && drawn[t] == 1;
    test_all(once);
}
END_TEST

START_TEST(withdrawn_tickets_are_gone)
{
    ivf_tickets *tickets = ivf_tickets_open(test_ctx, TICKETS);
    test_all(tickets != NULL);
    if (ivf_ctx_rank(test_ctx) == ivf_ctx_size(test_ctx) - 1)
        ivf_tickets_withdraw(tickets);
    ivf_barrier(test_ctx);
    bool none = ivf_tickets_draw(tickets) == -1;
    ivf_tickets_close(test_ctx, tickets);
    test_all(none);
}
END_TEST

START_TEST(progress_and_account_run_on_every_rank)
{
    ivf_account account = {0};
    ivf_phase_summary summaries[IVF_ACCOUNT_PHASES];
    ivf_account_begin(&account, "count");
    ivf_progress *progress = ivf_progress_open(test_ctx, "count", "rows", 100);
    test_all(progress != NULL);
    ivf_progress_add(progress, 100 / ivf_ctx_size(test_ctx));
    ivf_progress_close(test_ctx, progress);
    ivf_account_part(&account, IVF_PART_READING, 1);
    ivf_account_part(&account, IVF_PART_READING, ivf_ctx_rank(test_ctx));
    ivf_account_end(&account, 10 * (ivf_ctx_rank(test_ctx) + 1));
    ivf_account_begin(&account, "nothing");
    ivf_account_end(&account, 0);
    test_all(ivf_account_sum(test_ctx, &account, summaries) == MPIVF_OK);
    bool right = !ivf_ctx_is_root(test_ctx) ||
                 (summaries[0].bytes.min == 10 && summaries[0].bytes.max == 10.0 * ivf_ctx_size(test_ctx) &&
                  summaries[0].memory.min > 0 && summaries[0].seconds.max >= summaries[0].seconds.min);
    test_all(right);
    const ivf_spread *reading = &summaries[0].parts[IVF_PART_READING];
    right = !ivf_ctx_is_root(test_ctx) ||
            (summaries[0].has_parts && reading->min == 1 && reading->max == ivf_ctx_size(test_ctx) &&
             summaries[0].parts[IVF_PART_WRITING].max == 0 && !summaries[1].has_parts);
    test_all(right);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("comm");
    TCase *tests = tcase_create("comm");
    tcase_add_test(tests, agreement_takes_the_lowest_failed_rank);
    tcase_add_test(tests, broadcast_crosses_piece_borders);
    tcase_add_test(tests, sums_are_over_all_ranks);
    tcase_add_test(tests, gather_keeps_order_and_lengths);
    tcase_add_test(tests, tree_merges_every_rank_once);
    tcase_add_test(tests, allgather_crosses_piece_borders);
    tcase_add_test(tests, parts_reach_the_first_rank);
    tcase_add_test(tests, ranks_of_a_node_stand_in_rows);
    tcase_add_test(tests, a_row_names_ranks_as_all_do);
    tcase_add_test(tests, each_ticket_is_drawn_once);
    tcase_add_test(tests, withdrawn_tickets_are_gone);
    tcase_add_test(tests, progress_and_account_run_on_every_rank);
    suite_add_tcase(suite, tests);
    return test_mpi_run(suite);
}
