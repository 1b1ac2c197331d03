#include "io/h5inflate.h"

#include <stdint.h>
#include <zlib.h>

#include "io/bytes.h"

enum { PIECE_BYTES = 1 << 14, CHECKSUM_BYTES = 4 /* of a fletcher32 below the compression */ };

/* The place of deflate among the filters of a chunk; -1: there is none, or others change sizes as well. */
static int place_of_deflate(hid_t dataset)
{
    int place = -1;
    hid_t created = H5Dget_create_plist(dataset);
    const int filters = created >= 0 ? H5Pget_nfilters(created) : 0;
    for (int i = 0; i < filters; i++) {
        unsigned flags = 0;
        size_t values = 0;
        const H5Z_filter_t id = H5Pget_filter2(created, (unsigned)i, &flags, &values, NULL, 0, NULL, NULL);
        if (id == H5Z_FILTER_DEFLATE && place < 0) {
            place = i;
        } else if (id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32) {
            place = -1;
            break;
        }
    }
    if (created >= 0)
        (void)H5Pclose(created);
    return place;
}

/* Whether addresses in the file that a dataset lies in count from its beginning. */
static bool is_plain(hid_t dataset)
{
    hsize_t block = 1;
    hid_t file = H5Iget_file_id(dataset);
    hid_t created = file >= 0 ? H5Fget_create_plist(file) : H5I_INVALID_HID;
    if (created >= 0 && H5Pget_userblock(created, &block) < 0)
        block = 1;
    if (created >= 0)
        (void)H5Pclose(created);
    if (file >= 0)
        (void)H5Fclose(file);
    return block == 0;
}

static bool read_piece(int fd, int64_t offset, int64_t bytes, uint8_t *piece, z_stream *z)
{
    const size_t wanted = bytes < PIECE_BYTES ? (size_t)bytes : PIECE_BYTES;
    size_t got = 0;
    if (ivf_bytes_read(fd, piece, wanted, offset, &got) != 0 || got == 0)
        return false;
    z->next_in = piece;
    z->avail_in = (uInt)got;
    return true;
}

/* How many bytes a stream of zlib's holds, as far as `most`; 0: it is none. */
static hsize_t inflated(int fd, int64_t offset, int64_t bytes, hsize_t most)
{
    uint8_t in[PIECE_BYTES];
    uint8_t out[PIECE_BYTES];
    z_stream z = {.next_in = in};
    int status = inflateInit(&z);
    if (status != Z_OK)
        return 0;
    for (int64_t at = 0; status == Z_OK && z.total_out <= most;) {
        if (z.avail_in == 0 && at < bytes) {
            if (!read_piece(fd, offset + at, bytes - at, in, &z))
                break;
            at += z.avail_in;
        }
        z.next_out = out;
        z.avail_out = sizeof out;
        status = inflate(&z, Z_NO_FLUSH);
    }
    (void)inflateEnd(&z);
    return status == Z_OK || status == Z_STREAM_END ? z.total_out : 0;
}

bool ivf_h5_inflates_to(int fd, hid_t dataset, int rank, hsize_t wanted)
{
    static const hsize_t first[H5S_MAX_RANK];
    unsigned passed_over = 0;
    haddr_t at = 0;
    hsize_t stored = 0;
    const int place = place_of_deflate(dataset);
    if (place < 0 || rank < 1 || !is_plain(dataset))
        return true;
    if (H5Dget_chunk_info_by_coord(dataset, first, &passed_over, &at, &stored) < 0 || at > INT64_MAX / 2 ||
        stored > INT64_MAX / 2)
        return false;
    if ((passed_over >> place & 1) != 0)
        return true;
    const hsize_t there = inflated(fd, (int64_t)at, (int64_t)stored, wanted + CHECKSUM_BYTES);
    return there >= wanted && there <= wanted + CHECKSUM_BYTES;
}
