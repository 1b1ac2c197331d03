/* The result on standard output. It is written whole, once, so that a failure never leaves half an object; what cannot
 * be written is a failure of the command. */
#ifndef IVF_CLI_OUTPUT_H
#define IVF_CLI_OUTPUT_H

#include <jansson.h>

#include "base/text.h"

/* Local. Prints the text and frees it. MPIVF_FAILED when memory ran out while it was made, or when it cannot be
 * written. */
int ivf_output_text(ivf_text *text);

/* Local. Adds an entry to a list, taking it over. When memory runs out, now or for the entry before, the list is freed
 * and NULL, so that json_pack and ivf_output_json fail rather than print less than there is. */
void ivf_output_append(json_t **list, json_t *entry);

/* Local. The lines of a text, NULL for none, as a list of strings. */
json_t *ivf_output_lines(const char *text);

/* Local. A JSON number, or null for what JSON has no number for: NaN and the infinities. */
json_t *ivf_output_real(double value);

/* Local. Prints a JSON value on lines of its own and frees it; NULL (memory ran out while it was made) is
 * MPIVF_FAILED. */
int ivf_output_json(json_t *json);

#endif
