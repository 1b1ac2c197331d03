#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static int flush(bool written)
{
    if (written && fflush(stdout) == 0)
        return MPIVF_OK;
    return ivf_fail_errno(errno, "cannot write to the standard output");
}

int ivf_output_text(ivf_text *text)
{
    int rc = MPIVF_OK;
    if (text->failed)
        rc = ivf_fail(MPIVF_FAILED, "out of memory for the result");
    else if (text->text != NULL)
        rc = flush(fputs(text->text, stdout) >= 0);
    ivf_text_free(text);
    return rc;
}

void ivf_output_append(json_t **list, json_t *entry)
{
    if (json_array_append_new(*list, entry) == 0)
        return;
    json_decref(*list);
    *list = NULL;
}

json_t *ivf_output_real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int ivf_output_json(json_t *json)
{
    if (json == NULL)
        return ivf_fail(MPIVF_FAILED, "out of memory for the result");
    int dumped = json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    int rc = flush(dumped == 0 && fputs("\n", stdout) >= 0);
    json_decref(json);
    return rc;
}

json_t *ivf_output_lines(const char *text)
{
    json_t *list = json_array();
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, "\n");
        ivf_output_append(&list, json_stringn(text, length));
        text += length + (text[length] == '\n');
    }
    return list;
}
