#include "base/share.h"

#include "base/numbers.h"

int64_t ivf_share_prefix(const ivf_share *share, int64_t prefix)
{
    if (share->rank < 0)
        return 0;
    int64_t round = (int64_t)share->size * IVF_SHARE_BLOCK;
    int64_t rest = prefix % round - (int64_t)share->rank * IVF_SHARE_BLOCK;
    int64_t part = rest < 0 ? 0 : ivf_min_i64(rest, IVF_SHARE_BLOCK);
    return prefix / round * IVF_SHARE_BLOCK + part;
}

int64_t ivf_share_count(const ivf_share *share)
{
    return ivf_share_prefix(share, share->total);
}

int64_t ivf_share_place(const ivf_share *share, int64_t row)
{
    int64_t block = row / IVF_SHARE_BLOCK * share->size + share->rank;
    return block * IVF_SHARE_BLOCK + row % IVF_SHARE_BLOCK;
}

int ivf_share_owner(const ivf_share *share, int64_t place)
{
    return (int)(place / IVF_SHARE_BLOCK % share->size);
}

int64_t ivf_share_row(const ivf_share *share, int64_t place)
{
    return place / IVF_SHARE_BLOCK / share->size * IVF_SHARE_BLOCK + place % IVF_SHARE_BLOCK;
}
