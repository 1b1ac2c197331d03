#include "index/inspect.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "index/contents.h"
#include "index/model.h"
#include "io/publish.h"

int ivf_findings_take(ivf_findings *findings, const char *what, int rc)
{
    if (rc != MPIVF_CORRUPT && rc != MPIVF_BAD_INPUT)
        return rc;
    ivf_text_add(&findings->text, "%s%s%s\n", what != NULL ? what : "", what != NULL ? ": " : "",
                 ivf_error_last()->text);
    findings->count++;
    return findings->text.failed ? MPIVF_FAILED : MPIVF_OK;
}

/* What the manifest says of a file. */
typedef struct {
    const char *path;
    const char *what; /* put before findings */
    int64_t bytes;
    uint64_t checksum;
} named_file;

/* Size and checksum. A wrong checksum alone is no finding yet: the contents may tell more. */
static int inspect_file(const named_file *file, int64_t *bytes, bool *whole, ivf_findings *findings)
{
    int64_t found_bytes = 0;
    uint64_t found = 0;
    *whole = false;
    int rc = ivf_file_checksum(file->path, &found_bytes, &found);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", file->path);
    if (rc != MPIVF_OK)
        return ivf_findings_take(findings, file->what, rc);
    *bytes += found_bytes;
    *whole = found_bytes == file->bytes && found == file->checksum;
    if (found_bytes != file->bytes)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: %" PRId64 " bytes, the manifest says %" PRId64, file->path, found_bytes,
                      file->bytes);
    return ivf_findings_take(findings, file->what, rc);
}

/* After the contents were looked at: damage that is in none of them. */
static int inspect_rest(const named_file *file, bool whole, int64_t before, ivf_findings *findings)
{
    if (whole || findings->count > before)
        return MPIVF_OK;
    int rc =
        ivf_fail(MPIVF_CORRUPT,
                 "%s: changed outside of its datasets, in HDF5's headers or the space between; its checksum is not "
                 "the manifest's %016" PRIx64,
                 file->path, file->checksum);
    return ivf_findings_take(findings, file->what, rc);
}

int ivf_inspect_fragment(const char *index, const ivf_manifest *manifest, const ivf_fragment_record *record,
                         int64_t *list_sizes, int64_t *bytes, ivf_findings *findings)
{
    char path[IVF_PATH_BYTES];
    char what[64];
    bool whole = false;
    int64_t before = findings->count;
    int rc = ivf_layout_fragment(index, record->id, path);
    if (rc != MPIVF_OK)
        return rc;
    (void)snprintf(what, sizeof what, "fragment %" PRId64, record->number);
    const named_file file = {path, what, record->bytes, record->checksum};
    rc = inspect_file(&file, bytes, &whole, findings);
    if (rc == MPIVF_OK && findings->count == before)
        rc = ivf_contents_inspect(path, what, manifest, record, list_sizes, findings);
    return rc == MPIVF_OK ? inspect_rest(&file, whole, before, findings) : rc;
}

static int compare_shape(const char *path, const ivf_manifest *m, const ivf_model *model)
{
    if (model->d_in == m->d && model->nlist == m->factory.nlist && model->metric == m->metric &&
        ivf_codec_code_size(model->codec) == m->code_size)
        return MPIVF_OK;
    return ivf_fail(MPIVF_CORRUPT, "%s: d %d, %d lists, %zu bytes a code; the manifest says %d, %d, %zu", path,
                    model->d_in, model->nlist, ivf_codec_code_size(model->codec), m->d, m->factory.nlist, m->code_size);
}

int ivf_inspect_model(const char *index, const ivf_manifest *manifest, int64_t *bytes, ivf_findings *findings)
{
    char path[IVF_PATH_BYTES];
    ivf_model *model = NULL;
    bool whole = false;
    int64_t before = findings->count;
    int rc = ivf_layout_model(index, manifest->model_id, path);
    if (rc != MPIVF_OK)
        return rc;
    const named_file file = {path, "model", manifest->model_bytes, manifest->model_checksum};
    rc = inspect_file(&file, bytes, &whole, findings);
    if (rc != MPIVF_OK || findings->count > before)
        return rc;
    rc = ivf_model_read(index, manifest->model_id, &model);
    if (rc == MPIVF_OK)
        rc = compare_shape(path, manifest, model);
    ivf_model_free(model);
    rc = ivf_findings_take(findings, file.what, rc);
    return rc == MPIVF_OK ? inspect_rest(&file, whole, before, findings) : rc;
}

int ivf_inspect_manifest(const char *index, int64_t version, int64_t *bytes, ivf_findings *findings)
{
    int64_t found = 0;
    int rc = ivf_manifest_check_text(index, version, &found);
    *bytes += found;
    return ivf_findings_take(findings, "manifest", rc);
}
