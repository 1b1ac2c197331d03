#include "io/h5inflate.h"

#include <stdint.h>
#include <zlib.h>

#include "base/memory.h"

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

/* How many bytes a stream of zlib's holds, as far as `most`; 0: it is none. */
static hsize_t inflated(const uint8_t *stream, size_t bytes, hsize_t most)
{
    uint8_t piece[PIECE_BYTES];
    z_stream z = {.next_in = (z_const Bytef *)stream, .avail_in = (uInt)bytes};
    int status = bytes <= UINT32_MAX ? inflateInit(&z) : Z_DATA_ERROR;
    if (status != Z_OK)
        return 0;
    while (status == Z_OK && z.total_out <= most) {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        status = inflate(&z, Z_NO_FLUSH);
    }
    (void)inflateEnd(&z);
    return status == Z_OK || status == Z_STREAM_END ? z.total_out : 0;
}

/* Of the file that a dataset lies in; 0: unknown. */
static hsize_t file_bytes(hid_t dataset)
{
    hsize_t bytes = 0;
    hid_t file = H5Iget_file_id(dataset);
    if (file < 0)
        return 0;
    if (H5Fget_filesize(file, &bytes) < 0)
        bytes = 0;
    (void)H5Fclose(file);
    return bytes;
}

bool ivf_h5_inflates_to(hid_t dataset, int rank, hsize_t wanted)
{
    static const hsize_t first[H5S_MAX_RANK];
    uint32_t passed_over = 0;
    hsize_t stored = 0;
    const int place = place_of_deflate(dataset);
    if (place < 0 || rank < 1 || H5Dget_chunk_storage_size(dataset, first, &stored) < 0)
        return place < 0;
    if (stored > file_bytes(dataset))
        return false;
    uint8_t *stream = ivf_new(stored, 1);
    bool fits = stream != NULL && H5Dread_chunk(dataset, H5P_DEFAULT, first, &passed_over, stream) >= 0;
    if (fits && (passed_over >> place & 1) == 0) {
        const hsize_t there = inflated(stream, stored, wanted + CHECKSUM_BYTES);
        fits = there >= wanted && there <= wanted + CHECKSUM_BYTES;
    }
    ivf_free(stream);
    return fits;
}
